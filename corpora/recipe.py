"""What the programs that make examples share: their two flags, and writing to a reader that may go away."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

BROKEN_PIPE = 141


def asked(description: str, rows: int, of: str = "") -> argparse.Namespace:
    """The `rows` and the `seed` of the command line; `of` says what rows are."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--rows", type=int, default=rows, metavar="N", help=of or None)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.rows < 1:
        parser.error("--rows: at least 1")
    return options


def run(main: Callable[[], None]) -> None:
    """Run a program; end silently with BROKEN_PIPE where the reader of its output went away, as under head."""
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the end does not flush into it again
        sys.exit(BROKEN_PIPE)
