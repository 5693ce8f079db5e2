"""The prose of Python's own documentation, from `pydoc_data.topics`, which every CPython carries.

    python corpora/python_docs.py > docs.txt
    python corpora/python_docs.py --train train.txt --valid valid.txt
    python corpora/python_docs.py --train train.txt --valid valid.txt --test test.txt

The text differs a little between versions of Python. About a tenth of it, in whole topics, is for validation; with
--test half of these topics are to judge by what was chosen on the others.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

VALID_SHARE = 0.1
LARGEST_SHARE = 0.03  # a longer topic is trained on, so that several are held out


def topics() -> dict[str, str]:
    """The topics of pydoc's help, by name, each ended by a blank line.

    Topics quote each other's sections, so each paragraph is kept once, in the first topic that has it: what is held out
    has then not been seen in training.
    """
    from pydoc_data.topics import topics as texts

    seen: set[str] = set()
    kept: dict[str, str] = {}
    for name in sorted(texts):
        paragraphs = [part.strip("\n") for part in texts[name].split("\n\n")]
        new = [part for part in dict.fromkeys(paragraphs) if part and " ".join(part.split()) not in seen]
        seen.update(" ".join(part.split()) for part in new)
        if new:
            kept[name] = "\n\n".join(new) + "\n\n"
    return kept


def held_out(texts: dict[str, str]) -> list[str]:
    """Topics that make up VALID_SHARE of the text, chosen by the hash of their names."""
    size = sum(map(len, texts.values()))
    chosen: list[str] = []
    for name in sorted(texts, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if len(texts[name]) < LARGEST_SHARE * size and sum(len(texts[one]) for one in chosen) < VALID_SHARE * size:
            chosen.append(name)
    return chosen


def main() -> None:
    """Write the topics to stdout, or split between two files."""
    parser = argparse.ArgumentParser(description="The prose of Python's documentation, from pydoc_data.topics.")
    parser.add_argument("--train", type=Path, metavar="FILE", help="write the other topics here")
    parser.add_argument("--valid", type=Path, metavar="FILE", help="write about a tenth here")
    parser.add_argument("--test", type=Path, metavar="FILE", help="write half of that tenth here, for a last judgement")
    options = parser.parse_args()
    texts = topics()
    if options.train is None and options.valid is None and options.test is None:
        sys.stdout.buffer.write("".join(texts.values()).encode())
        return
    held = held_out(texts)
    test = held[::2] if options.test is not None else []
    parts = ((options.train, set(texts).difference(held)), (options.valid, set(held).difference(test)))
    for path, names in (*parts, (options.test, set(test))):
        if path is not None:
            part = [texts[name] for name in texts if name in names]
            path.write_bytes("".join(part).encode())
            print(f"{path}: {len(part)} topics, {path.stat().st_size:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
