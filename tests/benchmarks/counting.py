"""Time and peak memory of counting a large text, by `train --model ngram --memory` and by lmplz, and the speed of `eval`.

    python -m tests.benchmarks.counting TRAIN VALID --lmplz DIRECTORY --order 5 --memory 400M 1G [--type word]

Both count the same tokens. The text is cut into these before the time begins; lmplz also writes its ARPA file in it,
seqtool starts, validates, and writes its run. Memory is the most that the process held at once.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seqtool.text.store import open_store
from tests.benchmarks.counts import as_words

SEQTOOL = [sys.executable, "-m", "seqtool"]


class Ran(NamedTuple):
    """What a command took and wrote."""

    seconds: float
    cpu_s: float
    peak_mb: float
    output: str


def main() -> None:
    """Print a line for each program and size of memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("valid")
    parser.add_argument("--lmplz", type=Path, required=True)
    parser.add_argument("--order", default="5")
    parser.add_argument("--memory", nargs="+", default=["400M", "1G"])
    parser.add_argument("--type", default="word")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vocab, store, words, arpa, run = (folder / one for one in ("v.model", "store", "words", "arpa", "run"))
        subprocess.run([*SEQTOOL, "vocab", asked.train, "-o", vocab, "--type", asked.type, "-q"], check=True)
        subprocess.run([*SEQTOOL, "encode", asked.train, "--vocab", vocab, "-o", store, "-q"], check=True)
        opened = open_store(store)
        words.write_bytes(as_words(opened.vocabulary, np.asarray(opened.ids[0 : len(opened.ids)]), False))
        print("program  memory  seconds  CPU s  peak MB  tokens")
        for _ in range(asked.rounds):
            for memory in asked.memory:
                command = [asked.lmplz / "lmplz", "-o", asked.order, "--discount_fallback", "-T", folder, "-S", memory]
                shown("lmplz", memory, ran([*command, "--text", words, "--arpa", arpa]), len(opened.ids))
                command = [*SEQTOOL, "train", store, "--valid", asked.valid, "--model", "ngram", "--order", asked.order]
                counted = ran([*command, "--memory", memory, "-o", run, "--force", "-q", "--json"])
                shown("seqtool", memory, counted, len(opened.ids))
        scored = json.loads(ran([*SEQTOOL, "eval", run, asked.valid, "--json", "-q"]).output)
        print(f"eval: {scored['tokens']:,} tokens, {scored['tokens_per_s']:,.0f} tokens/s")


def ran(command: list[object]) -> Ran:
    """Run a command, which must succeed."""
    began = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        assert status == 0, command
        seconds = time.perf_counter() - began
        output.seek(0)
        return Ran(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, output.read().decode())


def shown(program: str, memory: str, one: Ran, tokens: int) -> None:
    """Print a line of the table."""
    print(f"{program:7}  {memory:>6}  {one.seconds:7.1f}  {one.cpu_s:5.1f}  {one.peak_mb:7.0f}  {tokens:,}", flush=True)


if __name__ == "__main__":
    main()
