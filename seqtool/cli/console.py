"""stdout is data, stderr is talk: writing results, notes and progress."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
ROW_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
PLAIN_LINE_EVERY_S = 10.0
RENEW_EVERY_S = 0.5
UNKNOWN_WIDTH, LEAST_WIDTH = 80, 24
BAR_WIDTH, BESIDE_BAR = 24, 62  # columns: of a progress bar at most, and of what stands behind it
NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(e[-+]?\d+)?%?|[-+]?inf|nan")
CURVE_WIDTH, CURVE_HEIGHT = 64, 8


def printable(text: str) -> str:
    """Text with its control characters escaped, so that it cannot control a terminal."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def in_row(text: str) -> str:
    r"""Text as a cell of a row: a backslash, tab, newline and carriage return as `\\`, `\t`, `\n` and `\r`, which
    `printf %b` turns back.
    """
    return text.translate(ROW_ESCAPES)


def write(text: str, *, flush: bool = False) -> None:
    """Write data to stdout as UTF-8, whatever the locale; escaped when stdout is a terminal."""
    write_bytes((printable(text) if sys.stdout.isatty() else text).encode("utf-8", "replace"), flush=flush)


def write_bytes(content: bytes, *, flush: bool = False) -> None:
    """Write data to stdout exactly."""
    sys.stdout.buffer.write(content)
    if flush:
        sys.stdout.buffer.flush()


def write_report(report: dict[str, Any], as_json: bool) -> None:
    """Write a report: one JSON object, or a line for each entry; on a terminal, several for one with entries."""
    if as_json:
        write(json.dumps(report, ensure_ascii=False) + "\n")
        return
    forms = (to_left(report), "")
    behind = " " * (max(map(len, report)) + 2)
    for name, value in report.items():
        told = [cell(value)]
        if isinstance(value, dict) and sys.stdout.isatty():
            room = max(LEAST_WIDTH, _terminal_width(sys.stdout) - len(behind))
            told = textwrap.wrap(of_entries(value), room) or [""]
        write(in_columns([name.replace("_", " "), f"\n{behind}".join(told)], forms))


def of_entries(entries: dict[str, Any]) -> str:
    """Entries in one line: `batch size 16, lr 0.0060`."""
    return ", ".join(
        f"{name.replace('_', ' ')} {f'({of_entries(value)})' if isinstance(value, dict) else cell(value)}"
        for name, value in entries.items()
    )


def in_columns(cells: Sequence[str], forms: Sequence[str]) -> str:
    """A line of a table: cells two spaces apart, each formatted by its form, such as `<9` or `>16` or nothing.

    There may be fewer cells than forms.
    """
    return "  ".join(map(format, cells, forms)) + "\n"


def to_left(cells: Iterable[str]) -> str:
    """The form of a left-aligned column of these cells."""
    return f"<{max(map(len, cells))}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in aligned columns, numbers to the right; the first row has the columns' names.

    A column is one of numbers if its cell in the second row begins with a digit, or all are numbers or missing.
    """
    forms = []
    for column in zip(*rows, strict=True):
        form = to_left(column)
        numbers = column[1][:1].isdigit() or all(NUMBER.fullmatch(one) for one in column[1:] if one not in ("", "-"))
        forms.append(form.replace("<", ">") if numbers else form)
    return "".join(in_columns(row, forms).rstrip() + "\n" for row in rows)


def cell(value: Any) -> str:
    """A value as a person reads it, in a table or a report."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4f}" if abs(value) < 1e6 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def note(text: str, quiet: bool = False) -> None:
    """Write a line to stderr, for the person at the terminal."""
    if not quiet:
        print(printable(text), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """`45 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _terminal_width(stream: TextIO) -> int:
    """Columns of the terminal that a stream writes to: a longer line would wrap, and what it wrote over would stay."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or UNKNOWN_WIDTH
    except (OSError, ValueError):
        return UNKNOWN_WIDTH


class Meter:
    """Shows on stderr how much of a `total` (0: unknown) is done: on a terminal in one updated line, elsewhere in a
    line every PLAIN_LINE_EVERY_S.
    """

    def __init__(self, unit: str, total: int, quiet: bool) -> None:
        self.total = total
        self._unit, self._quiet = unit, quiet
        self._terminal = sys.stderr.isatty()
        self._began = self._shown = time.monotonic()

    def __call__(self, done: int, more: str = "") -> None:
        """Show the amount that is done, followed by `more`, if enough time has passed since the last line."""
        now = time.monotonic()
        if self._quiet or now - self._shown < (RENEW_EVERY_S if self._terminal else PLAIN_LINE_EVERY_S):
            return
        self._shown = now
        rate = done / (now - self._began)
        text = f"{done:,} {self._unit}  {rate:,.0f} {self._unit}/s"
        if self.total:
            left = duration((self.total - done) / max(rate, 1e-9))
            text = f"{done:,} of {self.total:,} {self._unit}  {rate:,.0f} {self._unit}/s  {left} left"
        text += more
        print(
            f"\r{text[: _terminal_width(sys.stderr) - 1]}\x1b[K" if self._terminal else text,
            end="" if self._terminal else "\n",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        """Erase the line."""
        if self._terminal and not self._quiet and self._shown > self._began:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class TrainingProgress:
    """Shows a training on stderr: on a terminal a curve of the loss over a progress bar, elsewhere a line every
    PLAIN_LINE_EVERY_S, and nothing when quiet. The loss is so many `loss` for a `target`.
    """

    def __init__(self, quiet: bool, target: str = "token", loss: str = "nats") -> None:
        self._quiet = quiet
        self._target, self._loss = target, loss
        self._live: Any = None
        self._bar: Any = None
        self._task: Any = None
        self._losses: list[tuple[float, float]] = []
        self._last_line_s = 0.0

    def __call__(self, record: dict[str, Any]) -> None:
        """Show a logged step or a validation."""
        if self._quiet or "gradient_by_lag" in record or "watched_loss" in record:
            self._watch(record)
            return
        if "valid_loss" in record:
            loss = f"validation loss {record['valid_loss']:.4f} {self._loss}/{self._target}"
            mark = "  best so far" if record["best_step"] == record["step"] else ""
            self._say(f"step {record['step']:,}  {loss}{mark}")
            return
        if record["loss"] is None:
            self._say(f"step {record['step']:,}  left out: its loss or gradient is not a finite number")
            return
        share = max(record["share"], 1e-9)
        left = record["elapsed_s"] * (1 - share) / share
        text = f"loss {record['loss']:.3f}  {record['tokens_per_s']:,.0f} {self._target}s/s  {duration(left)} left"
        if self._live is not None:
            self._losses.append((share, record["loss"]))
            self._bar.update(self._task, completed=share, description=f"step {record['step']:,}  {text}")
            self._live.update(self._picture())
        elif time.monotonic() - self._last_line_s >= PLAIN_LINE_EVERY_S:
            self._say(f"step {record['step']:,}  {text}")

    def _watch(self, record: dict[str, Any]) -> None:
        """Show the loss on the text of --watch, if that is what was recorded."""
        if "watched_loss" in record and not self._quiet:
            self._say(f"step {record['step']:,}  watched loss {record['watched_loss']:.4f} {self._loss}/{self._target}")

    def _say(self, text: str) -> None:
        self._last_line_s = time.monotonic()
        if self._live is not None:
            self._live.console.print(text, highlight=False, markup=False)
        else:
            note(text)

    def _picture(self) -> Any:
        """The curve of the loss so far, on an axis as long as the whole training, over the progress bar."""
        from rich.console import Group
        from rich.text import Text

        from seqtool.cli.curve import draw

        width = max(10, min(CURVE_WIDTH, self._live.console.width - 10))
        return Group(Text("\n".join(draw(self._losses, width, CURVE_HEIGHT, end=1.0))), self._bar)

    @contextlib.contextmanager
    def shown(self) -> Iterator[TrainingProgress]:
        """Show the curve and the bar on a terminal while the block runs."""
        if self._quiet or not sys.stderr.isatty():
            yield self
            return
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        console = Console(stderr=True, no_color="NO_COLOR" in os.environ or None)
        bar = BarColumn(bar_width=max(4, min(BAR_WIDTH, console.width - BESIDE_BAR)))
        columns = (bar, TaskProgressColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task("starting", total=1.0)
        with Live(self._bar, console=console, transient=True, refresh_per_second=4) as self._live:
            yield self
        self._live = None
