"""The source code of Python's standard library, as it lies on this machine.

    python corpora/stdlib_source.py > source.py.txt
    python corpora/stdlib_source.py --bytes 2000000 > some.py.txt

Modules come in an order that depends only on their names, mixed so that any part holds some of everything.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "__pycache__", "pydoc_data", "lib2to3"}


def modules() -> Iterator[str]:
    """The text of each module, a blank line after it."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [file for file in root.rglob("*.py") if not LEFT_OUT & set(file.relative_to(root).parts)]
    for file in sorted(files, key=lambda file: hashlib.sha256(str(file.relative_to(root)).encode()).digest()):
        try:
            yield file.read_bytes().decode().removeprefix("\ufeff").rstrip("\n") + "\n\n"
        except UnicodeDecodeError:
            continue  # a few are in older encodings


def main() -> None:
    """Write modules to stdout until there are enough bytes."""
    parser = argparse.ArgumentParser(description="The source code of Python's standard library.")
    parser.add_argument("--bytes", type=int, default=10**9, metavar="N", help="stop after about this many")
    options = parser.parse_args()
    written = 0
    for text in modules():
        if written >= options.bytes:
            break
        written += sys.stdout.buffer.write(text.encode())


if __name__ == "__main__":
    main()
