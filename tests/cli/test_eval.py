"""`seqtool eval` as it is used: behind a stream, in a pipeline, on several texts, for several runs."""

from __future__ import annotations

import json
import math
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import ROOT, Command, Start


@pytest.fixture(scope="module")
def transformer_run(seqtool: Command, prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "transformer"
    result = seqtool("train", prose_file, "-o", path, "--vocab-type", "bpe", "--vocab-size", 400, "--model", "transformer",
                     "--hidden", 16, "--context", 32, "--steps", 3, "-q")  # fmt: skip
    assert result.returncode == 0, result.stderr.decode()
    return path


@pytest.fixture(scope="module")
def word_run(seqtool: Command, prose_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "words"
    result = seqtool(
        "train", prose_file, "-o", path, "--vocab-type", "word", "--hidden", 8, "--embed", 8, "--steps", 3, "-q"
    )
    assert result.returncode == 0, result.stderr.decode()
    return path


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


def test_escapes_in_text_are_shown_on_a_terminal(small_run: Path):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "seqtool", "eval", str(small_run), "-", "--per", "line"]
    subprocess.run(
        command, input=b"\x1b[2Jred\n", stdout=theirs, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
    )
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


def test_a_stride_states_its_cost(seqtool: Command, small_run: Path, transformer_run: Path):
    result = seqtool("eval", transformer_run, "-", "--stride", 2, "--json", stdin=b"some text")
    assert b"a token is read 16 times" in result.stderr
    assert json.loads(result.stdout)["reads_per_token"] == 16
    assert seqtool("eval", transformer_run, "-", "--stride", 2, "-q", stdin=b"some text").stderr == b""
    assert "carries its state" in error_of(seqtool("eval", small_run, "-", "--stride", 2, stdin=b"x"), 2)


def test_several_texts_make_a_row_each_and_a_total(seqtool: Command, small_run: Path, tmp_path: Path):
    texts = {"a.txt": "one two\n", "b.txt": "threé\n\nfour", "c.txt": "five\n"}
    for name, content in texts.items():
        (tmp_path / name).write_text(content)
    out = seqtool("eval", small_run, *texts, "--json", cwd=tmp_path).stdout
    *rows, total = [json.loads(line) for line in out.splitlines()]
    assert [row["text"] for row in rows] == list(texts)
    assert total["text"] == "total"
    for row, name in zip(rows, texts, strict=True):
        alone = json.loads(seqtool("eval", small_run, name, "--json", cwd=tmp_path).stdout)
        assert row["nats"] == pytest.approx(alone["nats"])
        assert row["text_sha256"] == alone["text_sha256"]
    for name in ("nats", "tokens", "words", "characters", "bytes", "documents"):
        assert total[name] == pytest.approx(sum(row[name] for row in rows))
    assert total["bits_per_byte"] == pytest.approx(
        total["nats"] / math.log(2) / sum(map(len, map(str.encode, texts.values())))
    )
    table = seqtool("eval", small_run, *texts, cwd=tmp_path).stdout.decode().splitlines()
    assert [line.split()[0] for line in table] == ["text", *texts, "total"]
    assert table[-1].split()[1] == f"{total['tokens']:,}"


def test_several_runs_make_a_table(
    seqtool: Command, small_run: Path, transformer_run: Path, word_run: Path, prose: str, tmp_path: Path
):
    runs, text = [small_run, transformer_run, word_run], prose[:2000].encode()
    out = seqtool("eval", *runs, "--text", "-", "--json", stdin=text).stdout
    reports = [json.loads(line) for line in out.splitlines()]
    assert [report["run"] for report in reports] == [str(run) for run in runs]
    assert [report["vocabulary"].split()[0] for report in reports] == ["char", "bpe", "word"]
    for report, run in zip(reports, runs, strict=True):
        alone = json.loads(seqtool("eval", run, "-", "--json", stdin=text).stdout)
        assert report["bits_per_byte"] == pytest.approx(alone["bits_per_byte"])
    table = seqtool("eval", *runs, "--text", "-", stdin=text).stdout.decode().splitlines()
    best = min(range(3), key=lambda index: reports[index]["bits_per_byte"])
    assert [line.endswith("best") for line in table[1:]] == [index == best for index in range(3)]
    assert "--text" in error_of(seqtool("eval", *runs), 2)
    assert "one run" in error_of(seqtool("eval", *runs, "--text", "-", "--per", "line"), 2)


def test_unknown_words_can_be_left_out(seqtool: Command, small_run: Path, word_run: Path):
    text = b"the value of xyzzy\nis the xyzzy\n"
    given = json.loads(seqtool("eval", word_run, "-", "--json", stdin=text).stdout)
    report = json.loads(seqtool("eval", word_run, "-", "--json", "--oov", "exclude", stdin=text).stdout)
    assert (given["left_out"], report["left_out"], report["unknowns"]) == (0, 2, 2)
    assert (report["tokens"], report["words"]) == (given["tokens"] - 2, given["words"] - 2)
    rows = [
        json.loads(row)
        for row in seqtool("eval", word_run, "-", "--json", "--per", "token", stdin=text).stdout.splitlines()
    ]
    known = sum(row["nats"] for row in rows if row["text"] != "<unk>")
    assert report["nats"] == pytest.approx(known, rel=1e-5)
    assert report["perplexity_per_token"] == pytest.approx(math.exp(known / (len(rows) - 2)), rel=1e-5)
    assert report["bits_per_byte"] is None
    assert "of type char" in error_of(seqtool("eval", small_run, "-", "--oov", "exclude", stdin=text), 2)


def test_eval_reports_everything_from_one_total(seqtool: Command, small_run: Path):
    import math

    text = "It is said — in café.\nTwo lines, é.\n"
    report = json.loads(seqtool("eval", small_run, "-", "--json", stdin=text.encode()).stdout)
    assert (report["characters"], report["bytes"], report["words"]) == (
        len(text),
        len(text.encode()),
        len(text.split()),
    )
    assert report["perplexity_per_token"] == pytest.approx(math.exp(report["nats"] / report["tokens"]))
    assert report["perplexity_per_word"] == pytest.approx(math.exp(report["nats"] / report["words"]))
    assert report["bits_per_byte"] == pytest.approx(report["nats"] / math.log(2) / report["bytes"])
    assert report["bits_per_character"] == pytest.approx(report["nats"] / math.log(2) / report["characters"])


def test_eval_json_goes_through_a_pipe(shell: Command, small_run: Path, prose_file: Path):
    result = shell(f"head -c 500 {prose_file} | seqtool eval {small_run} - --json | python3 -m json.tool")
    assert result.returncode == 0, result.stderr.decode()


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
