"""Options made from settings, and the texts that options give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import typer

from seqtool.cli.options import as_text, document_break, refuse_unused, text_of, with_settings
from seqtool.errors import UsageError
from seqtool.settings.fields import Panel, setting


@dataclass(frozen=True, kw_only=True)
class Lengths:
    steps: int = setting(5, "Steps.", panel=Panel.LENGTH, low=0)
    time: float = setting(0.0, "Time.", panel=Panel.LENGTH, metavar="DURATION")
    shuffle: bool = setting(True, "Shuffle.", panel=Panel.DATA, flag="--shuffle/--in-order")
    left_out: str = setting("", "Not here.", panel=Panel.DATA)


@pytest.mark.parametrize(("words", "given"), [
    ([], {}), (["--steps", "3"], {"steps": 3}), (["--time", "2m"], {"time": 120.0}), (["--in-order"], {"shuffle": False}),
])  # fmt: skip
def test_a_command_gets_the_settings_that_were_given(words: list[str], given: dict[str, Any]):
    received = []
    app = typer.Typer(add_completion=False)

    @app.command()
    @with_settings(Lengths, leave_out=("left_out",))
    def command(own: int = 7, *, settings: dict[str, Any]) -> None:
        received.append((own, settings))

    app(words, standalone_mode=False)
    assert received == [(7, given)]
    with pytest.raises(typer.TyperException, match="--left-out"):
        app(["--left-out", "x"], standalone_mode=False)


@pytest.mark.parametrize(("argument", "text"), [
    (r"a\n\r\t\\b", "a\n\r\t\\b"), (r"\xc3\xa9", "\u00e9"), (r"\u20ac\U0001f642", "\u20ac\U0001f642"), ("", ""),
])  # fmt: skip
def test_escapes_are_read_unless_the_user_says_otherwise(argument: str, text: str):
    assert text_of(argument, "--stop", escapes=True) == text
    assert text_of(argument, "--stop", escapes=False) == argument


@pytest.mark.parametrize(("argument", "message"), [
    (r"a\d", r"--stop has a backslash before 'd'"), ("a\\", r"--stop has a backslash before ''"),
    (r"\ud800", r"--stop has a backslash before 'u'"), (r"\xff", "--stop is not UTF-8: byte 0xff at offset 0"),
])  # fmt: skip
def test_what_is_no_escape_and_no_text_is_refused(argument: str, message: str):
    with pytest.raises(UsageError, match=message):
        text_of(argument, "--stop", escapes=True)


def test_bytes_of_the_command_line_that_are_not_utf8_become_a_replacement_character():
    assert as_text("caf\udce9") == "caf\ufffd"


def test_flags_without_an_effect_are_all_named():
    refuse_unused({"--a": False}, "unused")
    with pytest.raises(UsageError, match=r"^--a and --c: they do nothing$"):
        refuse_unused({"--a": True, "--b": False, "--c": True}, "they do nothing")


def test_a_document_break_is_one_of_the_choices_or_a_text():
    assert [document_break(value) for value in ("line", "at:<s>")] == ["line", "at:<s>"]
    with pytest.raises(UsageError, match="--document 'lines': did you mean line"):
        document_break("lines")
