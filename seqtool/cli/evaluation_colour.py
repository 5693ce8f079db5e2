"""`seqtool eval --colour`: a text on a terminal, each token on a colour that says how much it surprised."""

from __future__ import annotations

import os
import sys
from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING

from seqtool.cli.console import note, printable, write_bytes
from seqtool.errors import UsageError

if TYPE_CHECKING:
    from seqtool.runs.loading import Run
    from seqtool.settings.scoring import EvalConfig
    from seqtool.text.documents import TextSource
    from seqtool.text.store import TokenStore

LEVELS = (1.5, 3.0, 4.5, 6.0, 8.0, 10.0)
"""In nats, where a stronger colour begins."""
COLOURS = tuple(f"\x1b[38;5;16;48;5;{number}m" for number in (230, 223, 216, 209, 203, 196))
"""Black on a light yellow to red, of the 256 colours that terminals have; it reads on light and on dark."""
PLAIN = ("", "\x1b[4m", "\x1b[4m", "\x1b[1;4m", "\x1b[1;4m", "\x1b[1;4;7m")
"""Without colours: underlined, then bold as well, then reversed."""
RESET = "\x1b[0m"
NEWLINE = "⏎"


def check_terminal() -> None:
    """UsageError when standard output is no terminal."""
    if not sys.stdout.isatty():
        raise UsageError("--colour is for a terminal, and standard output is none: give --per token, which writes rows")


def write_coloured(
    run: Run,
    sources: Iterable[TextSource | TokenStore],
    config: EvalConfig,
    document: str,
    given: str,
    quiet: bool,
) -> None:
    """Write the texts, coloured by surprise, as they are read."""
    from seqtool.scoring.rows import score_pieces

    styles = PLAIN if "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb" else COLOURS
    note(f"stronger marks from {', '.join(f'{level:g}' for level in LEVELS)} nats on", quiet)
    nats, pieces, last = 0.0, 0, "\n"
    for source in sources:
        for scored in score_pieces(run.model, run.vocabulary, source, config, document=document, given=given):
            text = "".join(coloured(piece, cost, styles) for piece, cost in scored)
            write_bytes(text.encode("utf-8", "replace"), flush=True)
            nats, pieces = nats + sum(cost for _, cost in scored), pieces + len(scored)
            last = next((piece[-1] for piece, _ in reversed(scored) if piece), last)
    if last != "\n":
        write_bytes(b"\n", flush=True)
    note(f"{nats:,.2f} nats in all, {nats / max(1, pieces):.3f} a piece", quiet)


def coloured(piece: str, nats: float, styles: tuple[str, ...]) -> str:
    """A piece of text as the terminal shows it; the colour never runs on over the end of a line."""
    level = bisect_right(LEVELS, nats) - 1
    if level < 0 or not styles[level]:
        return printable(piece)
    lines = [printable(line) for line in piece.split("\n")]
    marked = [line + NEWLINE for line in lines[:-1]] + lines[-1:]
    return "\n".join(f"{styles[level]}{line}{RESET}" if line else "" for line in marked)
