"""Bits per byte of models' reports (`seqtool eval ... --json` on stdin) beside what compressors need for the same text.

    seqtool eval RUN [RUN...] --text test.txt --json | python corpora/beside_compressors.py train.txt test.txt

Reports with --adapt have a row more. Compressors go on learning as they read, too.

A model has learned from the training text. So that the comparison is fair to a compressor, it may read that first: the
figure is C(training and this text) - C(training text). gzip, whose window is 32 kB, would gain nothing from it. Strong
compressors are asked where they are installed; what they are given lies in a temporary directory.
"""

from __future__ import annotations

import gzip
import json
import lzma
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

AFTER = " after the training text"
STRONG = {
    "zstd -22": ("zstd", "-q", "--ultra", "-22", "--long=27", "-f", "{text}", "-o", "{packed}"),
    "brotli -11": ("brotli", "-q", "11", "--large_window=27", "-f", "{text}", "-o", "{packed}"),
    "paq8px -8": ("paq8px", "-8", "{text}", "{packed}"),
    "cmix": ("cmix", "-c", "{text}", "{packed}"),
}
"""How programs write a text in as few bytes as they can, by the name of a row."""


def sizes(train: bytes, text: bytes) -> Iterator[tuple[str, int]]:
    """A row and its bytes for each compressor that there is."""
    yield "gzip -9", len(gzip.compress(text, 9))
    yield "xz -9", len(lzma.compress(text, preset=9))
    yield "xz -9" + AFTER, len(lzma.compress(train + text, preset=9)) - len(lzma.compress(train, preset=9))
    for name, command in STRONG.items():
        if shutil.which(command[0]) is not None:
            yield name + AFTER, packed_size(command, train + text) - packed_size(command, train)


def packed_size(command: tuple[str, ...], text: bytes) -> int:
    """The bytes to which a program packs a text."""
    with tempfile.TemporaryDirectory() as folder:
        names = {"text": str(Path(folder, "text")), "packed": str(Path(folder, "packed"))}
        Path(names["text"]).write_bytes(text)
        subprocess.run([word.format(**names) for word in command], check=True, capture_output=True)
        return sum(path.stat().st_size for path in Path(folder).iterdir() if path.name.startswith("packed"))


def main() -> None:
    """Print a line for each model and each compressor."""
    train, text = (Path(path).read_bytes() for path in sys.argv[1:3])
    for report in map(json.loads, sys.stdin):
        name = f"seqtool {report['model']}" if "model" in report else "this model"
        print(f"{name:<34} {report['bits_per_byte']:.3f} bits per byte", flush=True)
        if "adapted_bits_per_byte" in report:
            print(f"{name + ', adapted':<34} {report['adapted_bits_per_byte']:.3f} bits per byte", flush=True)
    for name, size in sizes(train, text):
        print(f"{name:<34} {8 * size / len(text):.3f} bits per byte", flush=True)


if __name__ == "__main__":
    main()
