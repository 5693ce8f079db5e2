"""AWD-LSTM's regularisers one by one: test perplexity of a word model with all of them, without each, and with none.

    python tests/benchmarks/regularisers.py TRAIN TEST [--time 120s] [--word-language-model PATH]

Every model is trained by the real command for the same time on TRAIN (a tenth of its end held back for validation) and
scored on all of TEST. With the path of a checkout of pytorch/examples/word_language_model, that program is run beside
them for the same time on the same files, with its own defaults but for --cuda, as many passes as the time allows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SIZES = ["--model", "lstm", "--layers", "2", "--embed", "100", "--hidden", "100", "--tied", "--vocab-type", "word"]
BATCHES = ["--batch-size", "20", "--bptt", "35", "--early-stop", "0", "--variational", "--eval-every", "60"]
REGULARISERS = {
    "embedding dropout": ["--dropout-embedding", "0.1"],
    "input dropout": ["--dropout-input", "0.4"],
    "hidden dropout": ["--dropout-hidden", "0.25"],
    "output dropout": ["--dropout-output", "0.4"],
    "weight dropout": ["--weight-dropout", "0.5"],
    "AR": ["--ar", "2"],
    "TAR": ["--tar", "1"],
    "random lengths": ["--bptt-jitter"],
}


def ours(train: Path, test: Path, duration: str, flags: list[str]) -> tuple[float, float, int]:
    """Test perplexity, best validation perplexity and steps of one training."""
    command = [sys.executable, "-m", "seqtool"]
    with tempfile.TemporaryDirectory() as folder:
        settings = [*SIZES, *BATCHES, "--dropout", "0", "--time", duration, *flags, "-q", "--json"]
        told = subprocess.run(
            [*command, "train", train, "-o", f"{folder}/run", *settings], check=True, cwd=ROOT, stdout=-1
        )
        scored = subprocess.run([*command, "eval", f"{folder}/run", test, "--json"], check=True, cwd=ROOT, stdout=-1)
    report, score = json.loads(told.stdout), json.loads(scored.stdout)
    return math.exp(score["nats"] / score["tokens"]), math.exp(report["valid_nats_per_token"]), report["steps"]


def peer(program: Path, train: Path, test: Path, seconds: float) -> str:
    """The last test perplexity of word_language_model, stopped by Ctrl-C (as it allows) when the time is over."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = train.read_text(encoding="utf-8").splitlines(keepends=True)
        cut = len(lines) * 9 // 10
        (folder / "train.txt").write_text("".join(lines[:cut]), encoding="utf-8")
        (folder / "valid.txt").write_text("".join(lines[cut:]), encoding="utf-8")
        (folder / "test.txt").write_bytes(test.read_bytes())
        command = [sys.executable, "-u", "main.py", "--data", str(folder), "--epochs", "1000", "--tied"]
        command += ["--save", str(folder / "model.pt")]
        process = subprocess.Popen(
            command,
            cwd=program,
            stdout=-1,
            stderr=-2,
            text=True,
            env={**os.environ, "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # a shell's & turns it off
        )
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=600)
    found = re.findall(r"test ppl\s+([\d.]+)", told)
    return found[-1] if found else "none: " + " ".join(told.splitlines()[-1:])


def main() -> None:
    """Train, score and print the table."""
    parser = argparse.ArgumentParser(description="AWD-LSTM's regularisers one by one.")
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--time", default="120s")
    parser.add_argument("--word-language-model", type=Path)
    parser.add_argument("--alone", action="store_true", help="also each regulariser by itself")
    options = parser.parse_args()
    train, test = options.train.resolve(), options.test.resolve()
    every = [flag for flags in REGULARISERS.values() for flag in flags]
    cases = {"all": every, "none": []}
    cases |= {
        f"without {name}": [f for other, fs in REGULARISERS.items() if other != name for f in fs]
        for name in REGULARISERS
    }
    if options.alone:
        cases |= {f"{name} alone": flags for name, flags in REGULARISERS.items()}
    print(f"{'':<32}{'test perplexity':>16}{'validation':>12}{'steps':>8}")
    if options.word_language_model:
        seconds = float(options.time.removesuffix("s"))
        print(
            f"{'word_language_model, its LSTM':<32}{peer(options.word_language_model, train, test, seconds):>16}",
            flush=True,
        )
    for name, flags in cases.items():
        perplexity, valid, steps = ours(train, test, options.time, flags)
        print(f"{name:<32}{perplexity:>16.1f}{valid:>12.1f}{steps:>8}", flush=True)


if __name__ == "__main__":
    main()
