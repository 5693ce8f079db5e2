"""What a person sees: rows, tables, durations, and the view of a training on a real terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from seqtool.cli.console import Meter, cell, duration, in_columns, in_row, printable, table, to_left, write_report
from seqtool.cli.curve import BLANK
from tests.conftest import Start


def test_on_a_terminal_the_curve_grows_and_goes(start: Start, prose_file: Path, tmp_path: Path):
    parent, child = pty.openpty()
    words = ["train", prose_file, "-o", tmp_path / "run", "--vocab-type", "char", "--hidden", 24, "--steps", 60]
    process = start(*words, env={"TERM": "xterm"}, stderr=os.ttyname(child))
    os.close(child)
    seen = b""
    while True:
        try:
            part = os.read(parent, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    assert process.wait() == 0
    text = seen.decode()
    assert any(BLANK < ord(character) <= BLANK + 0xFF for character in text)
    assert "validation loss" in text
    assert "best step" in process.stdout.read().decode()


def test_a_row_is_padded_by_its_forms_as_far_as_it_has_cells():
    forms = [to_left(["name", "é", "ab"]), ">6", ""]
    assert in_columns(["é", "1,000", "best"], forms) == "é      1,000  best\n"
    assert in_columns(["a longer name", "9"], forms) == "a longer name       9\n"
    assert in_columns(["ab", "-", " kept as it is "], forms) == "ab         -   kept as it is \n"


def test_a_table_puts_numbers_to_the_right_and_ends_lines_where_text_does():
    rows = [["model", "tokens/s", "share", ""], ["lstm 2 x 64", "12,345", "9.0%", "fastest"], ["gru", "9", "", ""]]
    assert table(rows) == (
        "model        tokens/s  share\n"
        "lstm 2 x 64    12,345   9.0%  fastest\n"
        "gru                 9\n"
    )  # fmt: skip


def test_a_column_of_numbers_is_one_if_the_first_is_missing_or_negative_and_words_are_none():
    rows = [
        ["", "r", "found", "word"],
        ["a", "-0.5", "-", "-"],
        ["bb", "0.25", "12", "x1"],
        ["c", "1e-05", "3.0%", "2"],
    ]
    assert table(rows) == (
        "        r  found  word\n"
        "a    -0.5      -  -\n"
        "bb   0.25     12  x1\n"
        "c   1e-05   3.0%  2\n"
    )  # fmt: skip


def test_entries_of_an_entry_are_wrapped_on_a_terminal_and_json_elsewhere(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
):
    report = {"run": "x", "of_it": {f"name_{number}": number * 0.5 for number in range(12)} | {"more": {"a_b": True}}}
    write_report(report, False)
    first, second = capsysbinary.readouterr().out.decode().splitlines()
    assert (first, json.loads(second.removeprefix("of it  "))) == ("run    x", report["of_it"])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    write_report(report, False)
    first, *others = capsysbinary.readouterr().out.decode().splitlines()
    assert others[0].startswith("of it  name 0 0.0000, name 1 0.5000")
    assert others[-1].endswith("more (a b yes)")
    assert all(len(line) <= 80 for line in others)
    assert {line[:7] for line in others[1:]} == {" " * 7}


def test_values_in_cells():
    """In tables as in reports."""
    assert [cell(value) for value in ("bpe 400", None, 12345, 0, 1234.5, 1.0, True, False, 105210206.4, [1])] == [
        "bpe 400", "-", "12,345", "0", "1,234.5000", "1.0000", "yes", "no", "105,210,206", "[1]"
    ]  # fmt: skip


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_meter_never_writes_a_line_that_wraps(columns: int, monkeypatch: pytest.MonkeyPatch):
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with open(child, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        monkeypatch.setattr("seqtool.cli.console.RENEW_EVERY_S", 0)
        meter = Meter("tokens", 123_456_789, False)
        time.sleep(0.01)
        meter(1_000_000, "  loss 4.1234  lr 0.0250, and what else there may be to say about it all")
        written = os.read(parent, 4096).decode()
    os.close(parent)
    assert written.startswith("\r1,000,000 of 123,456,789 tokens")
    assert len(written.removeprefix("\r").removesuffix("\x1b[K")) == columns - 1


def test_control_characters_are_escaped_and_rows_can_be_turned_back():
    assert printable("a\tb\n\x1b[31mred\x9f\r") == "a\tb\n\\x1b[31mred\\x9f\\x0d"
    text = "a\\n\tb\r\nc\\"
    assert in_row(text) == r"a\\n\tb\r\nc\\"
    turned_back = subprocess.run(["bash", "-c", 'printf %b "$1"', "-", in_row(text)], capture_output=True)
    assert turned_back.stdout.decode() == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min 0 s"), (3725, "1 h 2 min")])
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text
