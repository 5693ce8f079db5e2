"""Text to ids and back: speed and memory of the real commands, beside SentencePiece's own.

    python tests/benchmarks/encoding.py [--megabytes 100] [--part 20] [--text FILE] [--runs 3] [--types bpe char ...]

Makes a text of so many megabytes by repeating a real one, learns a vocabulary of each type from it, and prints a
table: MB of text a second of `seqtool encode -o STORE` over all of it (the whole process) with its peak memory; then,
over the first --part of it, of `encode` and `decode` with ids as text; and of SentencePiece with all cores (the time
in its `encode` alone, and the whole process) and of `spm_encode`, where there is one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from pydoc_data.topics import topics

from machine import MB, ROOT, machine

SEQTOOL = [sys.executable, "-m", "seqtool"]
SIZES = {"bpe": ["--size", "4000"], "unigram": ["--size", "4000"]}
SENTENCEPIECE = """
import sys, time, sentencepiece
model, text, threads = sys.argv[1:]
pieces, spent = sentencepiece.SentencePieceProcessor(model_file=model), 0.0
with open(text, encoding="utf-8", newline="\\n") as stream:
    while lines := stream.readlines(10_000_000):
        lines = [line.removesuffix("\\n") for line in lines]
        began = time.perf_counter()
        pieces.encode(lines, num_threads=int(threads))
        spent += time.perf_counter() - began
print(spent)
"""


def measured(command: list[str | Path], stdout: Path | None = None) -> tuple[float, float, str]:
    """Seconds that a command takes, its peak memory in MB, and what it printed where that does not go to a file."""
    with open(stdout or os.devnull, "wb") if stdout else tempfile.TemporaryFile() as stream:
        began = time.perf_counter()
        process = subprocess.Popen(list(map(str, command)), stdout=stream, cwd=ROOT)
        _, status, usage = os.wait4(process.pid, 0)
        spent_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, command
        printed = ""
        if not stdout:
            stream.seek(0)
            printed = stream.read().decode()
    return spent_s, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MB, printed


def repeated(text: bytes, size: int, path: Path) -> None:
    """Write `size` bytes of whole repetitions of a text."""
    text += b"" if text.endswith(b"\n") else b"\n"
    with path.open("wb") as stream:
        for _ in range(max(1, size // len(text))):
            stream.write(text)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="Speed and memory of encoding.")
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--part", type=int, default=20)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--types", nargs="+", default=["bpe", "unigram", "char", "byte"])
    options = parser.parse_args()
    text = options.text.read_bytes() if options.text else "\n\n".join(topics[name] for name in sorted(topics)).encode()
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole, part, vocab, ids = (folder / name for name in ("whole.txt", "part.txt", "v.model", "ids"))
        repeated(text, options.megabytes * MB, whole)
        repeated(text, options.part * MB, part)
        sizes = {path: path.stat().st_size / MB for path in (whole, part)}
        print(f"{machine()}; {sizes[whole]:.0f} MB and a part of {sizes[part]:.0f} MB")
        print("MB of text/s  to a store   peak MB  ids out   ids in  SentencePiece   its process  spm_encode")

        def rate(path: Path, seconds: Callable[[], float]) -> float:
            return sizes[path] / statistics.median(seconds() for _ in range(options.runs))

        for kind in options.types:
            learn = [*SEQTOOL, "vocab", part, "-o", vocab, "--type", kind, *SIZES.get(kind, []), "--force", "-q"]
            measured(learn)
            peaks: list[float] = []

            def to_store(peaks: list[float] = peaks) -> float:
                command = [*SEQTOOL, "encode", whole, "--vocab", vocab, "-o", folder / "store", "--force", "-q"]
                spent_s, peak, _ = measured(command)
                peaks.append(peak)
                return spent_s

            stored = rate(whole, to_store)
            out = rate(part, lambda: measured([*SEQTOOL, "encode", part, "--vocab", vocab, "-q"], ids)[0])
            back = rate(part, lambda: measured([*SEQTOOL, "decode", ids, "--vocab", vocab], folder / "back")[0])
            assert (folder / "back").read_bytes() == part.read_bytes()
            row = f"{kind:<14}{stored:>10.1f}{max(peaks):>10.0f}{out:>9.1f}{back:>9.1f}"
            if kind in SIZES:
                plain = [sys.executable, "-c", SENTENCEPIECE, vocab, part, cores]
                alone = rate(part, lambda plain=plain: float(measured(plain)[2]))
                process = rate(part, lambda plain=plain: measured(plain)[0])
                row += f"{alone:>15.1f}{process:>14.1f}"
                if shutil.which("spm_encode"):
                    own = ["spm_encode", "--model", vocab, "--output_format", "id", "--input", part, "--output", ids]
                    row += f"{rate(part, lambda own=own: measured(own)[0]):>12.1f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
