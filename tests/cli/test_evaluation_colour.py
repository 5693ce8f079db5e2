"""`seqtool eval --colour`: the text itself on a terminal, its escapes shown, and nothing of it in a pipe."""

from __future__ import annotations

import os
import pty
import re
from pathlib import Path

import pytest

from seqtool.cli.evaluation_colour import COLOURS, LEVELS, PLAIN, RESET, coloured
from tests.cli.test_contract import error_of
from tests.conftest import Command, Start

TEXT = "It was late.\nNaïve 王 \x1b[2J QZXJ\n"


def on_terminal(start: Start, *arguments: object, text: str = TEXT, env: dict[str, str] | None = None) -> str:
    """What a terminal gets."""
    ours, theirs = pty.openpty()
    process = start("eval", *arguments, "--colour", stdout=os.ttyname(theirs), env=env)
    process.stdin.write(text.encode())
    process.stdin.close()
    assert process.wait() == 0, process.stderr.read()
    shown = os.read(ours, 1 << 16).decode().replace("\r\n", "\n")
    os.close(ours)
    os.close(theirs)
    return shown


def without_marks(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("⏎", "")


def test_the_text_is_whole_and_the_surprising_is_marked(start: Start, small_run: Path):
    shown = on_terminal(start, small_run, "-", env={"TERM": "xterm-256color"})
    assert without_marks(shown) == TEXT.replace("\x1b", "\\x1b")
    assert COLOURS[-1] in shown
    assert "\x1b[2J" not in shown
    assert f"{COLOURS[-1]}王{RESET}" in shown
    assert shown.count(RESET) == len(re.findall(r"\x1b\[(?!0m)", shown))


def test_without_colours_it_is_underlined_and_bold(start: Start, small_run: Path):
    shown = on_terminal(start, small_run, "-", env={"NO_COLOR": "1"})
    assert "38;5" not in shown
    assert "\x1b[1;4;7m王" in shown
    assert without_marks(shown) == TEXT.replace("\x1b", "\\x1b")


def test_a_colour_follows_from_the_nats_and_ends_with_the_line():
    assert coloured("the", LEVELS[0] - 0.01, COLOURS) == "the"
    for level, colour in zip(LEVELS, COLOURS, strict=True):
        assert coloured("the", level, COLOURS) == f"{colour}the{RESET}"
    assert coloured("a\nb", 99, COLOURS) == f"{COLOURS[-1]}a⏎{RESET}\n{COLOURS[-1]}b{RESET}"
    assert coloured("\n", 99, COLOURS) == f"{COLOURS[-1]}⏎{RESET}\n"
    assert coloured("\x1b", 2, PLAIN) == "\\x1b"


@pytest.mark.parametrize("flag", ["--json", "--adapt", ("--per", "line")])
def test_what_writes_something_else_is_refused(flag: str | tuple[str, ...], seqtool: Command, small_run: Path):
    flags = (flag,) if isinstance(flag, str) else flag
    assert flags[0] in error_of(seqtool("eval", small_run, "-", "--colour", *flags, stdin=b"text"), 2)


def test_a_pipe_is_refused_and_gets_nothing(seqtool: Command, small_run: Path):
    result = seqtool("eval", small_run, "-", "--colour", stdin=b"text")
    assert "standard output is none" in error_of(result, 2)
    assert result.stdout == b""
