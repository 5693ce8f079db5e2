"""Bits per byte of a model's report (`seqtool eval ... --json` on stdin) beside what gzip and xz need for the same
text.

    seqtool eval RUN valid.txt --json | python corpora/beside_compressors.py train.txt valid.txt

A model has learned from the training text. So that the comparison is fair to xz, the last line lets it read that first.
"""

from __future__ import annotations

import gzip
import json
import lzma
import sys
from pathlib import Path


def main() -> None:
    """Print a line for each way to write the validation text."""
    train, valid = (Path(path).read_bytes() for path in sys.argv[1:3])
    report = json.load(sys.stdin)
    xz_size = {name: len(lzma.compress(text, preset=9)) for name, text in (("train", train), ("both", train + valid))}
    rows = {
        "this model": report["bits_per_byte"],
        "gzip -9": 8 * len(gzip.compress(valid, 9)) / len(valid),
        "xz -9": 8 * len(lzma.compress(valid, preset=9)) / len(valid),
        "xz -9 after the training text": 8 * (xz_size["both"] - xz_size["train"]) / len(valid),
    }
    for name, bits in rows.items():
        print(f"{name:<30} {bits:.3f} bits per byte")


if __name__ == "__main__":
    main()
