"""The rows of `seqtool eval --per`, by the real command."""

from __future__ import annotations

import json
import math
import os
import pty
import signal
from pathlib import Path

import pytest

from tests.cli.test_evaluate import rows_of
from tests.cli.test_evaluate import transformer_run as transformer_run
from tests.cli.test_evaluate import word_run as word_run
from tests.conftest import Command, Start


def test_each_line_is_answered_before_the_next_is_written(start: Start, small_run: Path, transformer_run: Path):
    flags = {small_run: ("line",), transformer_run: ("line", "--carry")}
    processes = [start("eval", run, "-", "--per", *words) for run, words in flags.items()]
    for process in processes:
        for line in (b"first", b"", b"a third line"):
            process.stdin.write(line + b"\n")
            assert process.stdout.readline().split(b"\t")[3] == line + b"\n"
        process.stdin.close()
        assert process.wait() == 0, process.stderr.read()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_an_endless_stream(start: Start, small_run: Path, number: int, code: int):
    process = start("eval", small_run, "-", "--per", "token")
    process.stdin.write(b"x\n")
    assert process.stdout.readline().endswith(b"\tx\n")
    assert process.stdout.readline().endswith(b"\t\\n\n")
    process.send_signal(number)
    assert process.wait() == code
    assert process.stderr.read() == b""


def test_input_that_breaks_is_answered_up_to_there(start: Start, small_run: Path):
    process = start("eval", small_run, "-", "--per", "line")
    process.stdin.write(b"one\ntwo\n")
    assert process.stdout.readline().endswith(b"\tone\n")
    process.stdin.write(b"caf\xe9\n")
    process.stdin.close()
    assert process.stdout.read().endswith(b"\ttwo\n")
    assert process.wait() == 3
    assert b"offset 11" in process.stderr.read()


def test_a_reader_that_has_enough_stops_us(shell: Command, small_run: Path):
    result = shell(f"yes 'a line' | seqtool eval {small_run} - --per line | head -1")
    assert result.stdout.count(b"\n") == 1
    assert result.returncode == 141
    assert result.stderr == b""


def test_escapes_in_text_are_shown_on_a_terminal(start: Start, small_run: Path):
    ours, theirs = pty.openpty()
    process = start("eval", small_run, "-", "--per", "line", stdout=os.ttyname(theirs))
    process.stdin.write(b"\x1b[2Jred\n")
    process.stdin.close()
    assert process.wait() == 0
    assert b"\\x1b[2Jred" in os.read(ours, 1000)
    os.close(ours)
    os.close(theirs)


def test_rows_of_a_transformer_add_up_to_the_report(seqtool: Command, transformer_run: Path, prose: str):
    text = prose[:3000].encode()
    report = json.loads(seqtool("eval", transformer_run, "-", "--json", stdin=text).stdout)
    assert report["reads_per_token"] == 2
    for flags in (["line", "--carry"], ["token"], ["document"]):
        out = seqtool("eval", transformer_run, "-", "--json", "--per", *flags, stdin=text).stdout
        rows = [json.loads(row) for row in out.splitlines()]
        assert sum(row["nats"] for row in rows) == pytest.approx(report["nats"], rel=1e-5)
        assert sum(row["tokens"] for row in rows) == report["tokens"]


def test_rows_add_up_to_the_report(seqtool: Command, small_run: Path):
    text = b"first line\nsecond, longer line\n\nlast without end"
    total = json.loads(seqtool("eval", small_run, "-", "--json", stdin=text).stdout)["nats"]
    for arguments in (["--per", "line", "--carry"], ["--per", "token"], ["--per", "document"]):
        rows = seqtool("eval", small_run, "-", *arguments, stdin=text).stdout.decode().splitlines()
        assert sum(float(row.split("\t")[0]) for row in rows) == pytest.approx(total, abs=1e-3), arguments
    lines = seqtool("eval", small_run, "-", "--per", "line", stdin=text).stdout.decode().splitlines()
    assert [row.split("\t")[3] for row in lines] == ["first line", "second, longer line", "", "last without end"]
    alone = json.loads(seqtool("eval", small_run, "-", "--json", stdin=b"second, longer line\n").stdout)
    assert float(lines[1].split("\t")[0]) == pytest.approx(alone["nats"], abs=1e-4)
    assert int(lines[1].split("\t")[1]) == alone["tokens"]


def test_lines_do_not_run_over_files(seqtool: Command, small_run: Path, tmp_path: Path):
    (tmp_path / "a").write_text("one\ntwo")
    (tmp_path / "b").write_text("three\n" + "y" * 20_000 + "\nlast")
    rows = seqtool("eval", small_run, "a", "b", "--per", "line", cwd=tmp_path).stdout.decode().splitlines()
    assert [row.split("\t")[3] for row in rows] == ["one", "two", "three", "y" * 20_000, "last"]
    assert [int(row.split("\t")[1]) for row in rows] == [4, 3, 6, 20_001, 4]


def test_rows_are_json_whatever_they_hold(seqtool: Command, small_run: Path):
    rows = seqtool("eval", small_run, "-", "--per", "line", "--json", stdin="☃☃\n".encode()).stdout.decode()
    assert json.loads(rows)["tokens"] == 7


@pytest.mark.parametrize("unit", ["line", "word", "token", "document"])
def test_text_of_rows_can_be_turned_back(seqtool: Command, shell: Command, small_run: Path, unit: str):
    text = b"a\tb and a\\tb\r\\r\\\\\n\\n\n"
    joined = {"word": b" ", "document": b""}.get(unit, b"")
    out = seqtool("eval", small_run, "-", "--per", unit, stdin=text).stdout
    cells = [line.split(b"\t") for line in out.splitlines()]
    assert all(len(cell) == 4 for cell in cells)
    back = shell(f"printf %b '{joined.join(cell[3] for cell in cells).decode()}'").stdout
    expected = {
        "line": text.replace(b"\n", b""),
        "token": text,
        "document": text.split(b"\n")[0],
        "word": b"a b and a\\tb \\r\\\\ \n \\n \n",
    }
    assert back == expected[unit]


def test_words_have_their_surprisal(seqtool: Command, small_run: Path, word_run: Path):
    text = "The  value of é\u00a0x\n\nlast\t\n ".encode()
    words = ["The", "value", "of", "é", "x", "\n", "\n", "last", "\n", " "]
    (report,) = rows_of(seqtool("eval", small_run, "-", "--json", stdin=text))
    rows = rows_of(seqtool("eval", small_run, "-", "--json", "--per", "word", stdin=text))
    tokens = rows_of(seqtool("eval", small_run, "-", "--json", "--per", "token", stdin=text))
    assert [row["text"] for row in rows] == words
    assert [row["tokens"] for row in rows] == [3, 7, 3, 3, 3, 1, 1, 4, 2, 1]
    assert sum(row["nats"] for row in rows) == pytest.approx(report["nats"], rel=1e-6)
    assert rows[1]["nats"] == pytest.approx(sum(token["nats"] for token in tokens[3:10]), rel=1e-6)
    in_bits = rows_of(seqtool("eval", small_run, "-", "--json", "--per", "word", "--bits", stdin=text))
    assert [row["bits"] for row in in_bits] == pytest.approx([row["nats"] / math.log(2) for row in rows])
    out = seqtool("eval", small_run, "-", "--per", "line", "--bits", stdin=b"a line\n").stdout
    assert float(out.split(b"\t")[0]) == pytest.approx(
        float(seqtool("eval", small_run, "-", "--per", "line", stdin=b"a line\n").stdout.split(b"\t")[0]) / math.log(2),
        abs=1e-5,
    )
    rows = rows_of(seqtool("eval", word_run, "-", "--json", "--per", "word", stdin=b"the  xyzzy of\nis"))
    assert [(row["text"], row["tokens"]) for row in rows] == [
        ("the", 1), ("<unk>", 1), ("of", 1), ("\n", 1), ("is", 1)
    ]  # fmt: skip


def test_each_word_is_answered_when_its_line_has_come(start: Start, small_run: Path):
    process = start("eval", small_run, "-", "--per", "word")
    for line in (b"first line\n", b"\n", b"more\n"):
        process.stdin.write(line)
        for word in [*line.split(), b"\\n"]:
            assert process.stdout.readline().split(b"\t")[3] == word + b"\n"
    process.stdin.close()
    assert process.wait() == 0, process.stderr.read()
