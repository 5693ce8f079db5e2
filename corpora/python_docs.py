"""The prose of Python's own documentation, from `pydoc_data.topics`, which every CPython carries.

    python corpora/python_docs.py > docs.txt
    python corpora/python_docs.py --train train.txt --valid valid.txt

The text differs a little between versions of Python. Every tenth topic is for validation.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

VALID_EVERY = 10


def topics() -> list[str]:
    """The topics of pydoc's help, by name, each ended by a blank line."""
    from pydoc_data.topics import topics as texts

    return [texts[name].strip("\n") + "\n\n" for name in sorted(texts)]


def main() -> None:
    """Write the topics to stdout, or split between two files."""
    parser = argparse.ArgumentParser(description="The prose of Python's documentation, from pydoc_data.topics.")
    parser.add_argument("--train", type=Path, metavar="FILE", help="write nine topics of ten here")
    parser.add_argument("--valid", type=Path, metavar="FILE", help="write every tenth topic here")
    options = parser.parse_args()
    texts = topics()
    if options.train is None and options.valid is None:
        sys.stdout.buffer.write("".join(texts).encode())
        return
    held_out = texts[VALID_EVERY - 1 :: VALID_EVERY]
    kept = [text for number, text in enumerate(texts) if number % VALID_EVERY != VALID_EVERY - 1]
    for path, part in ((options.train, kept), (options.valid, held_out)):
        if path is not None:
            path.write_bytes("".join(part).encode())
            print(f"{path}: {len(part)} topics, {path.stat().st_size:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
