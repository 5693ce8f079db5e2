"""`seqtool eval` as it is used: behind a stream, in a pipeline, on several texts, for several runs."""

from __future__ import annotations

import json
import math
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import Command, Start


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
    runs, text = [small_run, transformer_run, word_run], prose[:2000].encode() + b" xyzzy" * 200
    out = seqtool("eval", *runs, "--text", "-", "--json", stdin=text).stdout
    reports = [json.loads(line) for line in out.splitlines()]
    assert [report["run"] for report in reports] == [str(run) for run in runs]
    assert [report["vocabulary"].split()[0] for report in reports] == ["char", "bpe", "word"]
    for report, run in zip(reports, runs, strict=True):
        alone = json.loads(seqtool("eval", run, "-", "--json", stdin=text).stdout)
        assert report["bits_per_byte"] == pytest.approx(alone["bits_per_byte"])
    table = seqtool("eval", *runs, "--text", "-", stdin=text).stdout.decode().splitlines()
    assert [report["text_lost"] for report in reports] == [[], [], ["unknown words", "white space"]]
    assert reports[2]["bits_per_byte"] == min(report["bits_per_byte"] for report in reports)
    best = min(range(2), key=lambda index: reports[index]["bits_per_byte"])
    assert [line.endswith("best") for line in table[1:]] == [index == best for index in range(3)]
    assert table[3].endswith("  loses unknown words, white space")
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


def rows_of(result: subprocess.CompletedProcess[bytes]) -> list[dict[str, float | str]]:
    assert result.returncode == 0, result.stderr.decode()
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (b"the value of\n\nis the\n", []),
        (b"the <unk> of\n", []),  # which is what <unk> spells
        (b"the xyzzy of\n", ["unknown words"]),
        (b"the  value\n", ["white space"]),
    ],
)
def test_what_is_lost_is_judged_by_the_text(
    seqtool: Command, small_run: Path, word_run: Path, text: bytes, lost: list[str]
):
    table = seqtool("eval", word_run, small_run, "--text", "-", stdin=text).stdout.decode().splitlines()
    cheaper = float(table[1].split()[8]) < float(table[2].split()[7])
    assert table[1].endswith("best") == (cheaper and not lost)
    assert table[1].partition("  loses ")[2] == ", ".join(lost)


def test_runs_that_all_lose_text_have_no_best(seqtool: Command, word_run: Path):
    result = seqtool("eval", word_run, word_run, "--text", "-", stdin=b"the xyzzy of\n")
    assert b"best" not in result.stdout
    assert b"share a vocabulary" in result.stderr


@pytest.fixture
def texts_with_an_empty_one(tmp_path: Path) -> Path:
    for name, content in (("a", "one\n"), ("b", ""), ("c", "three\nfour"), ("d", "")):
        (tmp_path / name).write_text(content)
    return tmp_path


def test_an_empty_file_among_several_has_its_row(
    seqtool: Command, small_run: Path, transformer_run: Path, word_run: Path, texts_with_an_empty_one: Path
):
    here = texts_with_an_empty_one
    for run in (small_run, transformer_run, word_run):
        *rows, total = rows_of(seqtool("eval", run, *"abcd", "--json", cwd=here))
        assert [row["text"] for row in rows] == list("abcd")
        assert [row["tokens"] > 0 for row in rows] == [True, False, True, False]
        assert (rows[1]["nats"], rows[1]["perplexity_per_token"], rows[1]["bits_per_byte"]) == (0, None, None)
        assert total["documents"] == 4
        documents = rows_of(seqtool("eval", run, *"abcd", "--per", "document", "--json", cwd=here))
        assert [row["tokens"] for row in documents] == [row["tokens"] for row in rows]
        assert [row["nats"] for row in documents] == pytest.approx([row["nats"] for row in rows], rel=1e-5)
        assert [row["text"] for row in documents] == ["one", "", "three", ""]
        for flags in (["line"], ["line", "--carry"]):
            lines = rows_of(seqtool("eval", run, *"abcd", "--json", "--per", *flags, cwd=here))
            assert [row["text"] for row in lines] == ["one\n", "three\n", "four"]
    joined = [word for name in "abcd" for word in ("--text", name)]
    assert "b, d" in error_of(seqtool("eval", word_run, word_run, "--text", "b", "--text", "d", cwd=here), 3)
    for report in rows_of(seqtool("eval", word_run, word_run, *joined, "--json", cwd=here)):
        assert report["nats"] == pytest.approx(total["nats"])
        assert report["documents"] == 4


@pytest.mark.parametrize("flags", [[], ["--per", "document"], ["--per", "word"]])
def test_only_empty_files_are_an_error(
    seqtool: Command, small_run: Path, texts_with_an_empty_one: Path, flags: list[str]
):
    result = seqtool("eval", small_run, "b", "d", *flags, cwd=texts_with_an_empty_one)
    assert "b, d" in error_of(result, 3)
    assert result.stdout == b""


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


@pytest.fixture(scope="module")
def store(seqtool: Command, transformer_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two documents as ids of the transformer's vocabulary, the first without a newline at its end."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "a").write_text("one two\n\nthe é 🙂\tof")
    (folder / "b").write_text(" six\nthe\n")
    made = seqtool("encode", "a", "b", "--vocab", transformer_run / "vocab.model", "-o", "s", cwd=folder)
    assert made.returncode == 0, made.stderr.decode()
    return folder / "s"


@pytest.mark.parametrize(
    "flags", [[], ["--per", "line"], ["--per", "line", "--carry"], ["--per", "word"], ["--per", "token"],
              ["--per", "document"], ["--given", "so"]]
)  # fmt: skip
def test_a_store_is_scored_as_its_text(seqtool: Command, transformer_run: Path, store: Path, flags: list[str]):
    ours, theirs = (
        seqtool("eval", transformer_run, *names, "--json", *flags, cwd=store.parent) for names in (["s"], ["a", "b"])
    )
    if "--per" in flags:
        assert rows_of(ours) == rows_of(theirs)
        return
    (report,), total = rows_of(ours), rows_of(theirs)[-1]
    for name in ("nats", "tokens", "words", "characters", "bytes", "documents", "bits_per_byte", "text_lost"):
        assert report[name] == pytest.approx(total[name]), name


def test_a_store_of_another_vocabulary_is_refused(
    seqtool: Command, small_run: Path, transformer_run: Path, store: Path, tmp_path: Path
):
    for flags in (["--per", "word"], []):
        message = error_of(seqtool("eval", small_run, store, *flags), 3)
        assert "another vocabulary" in message
        assert f"--vocab {small_run / 'vocab.model'}" in message
    assert "another vocabulary" in error_of(seqtool("eval", transformer_run, small_run, "--text", store), 3)
    rows = rows_of(seqtool("eval", transformer_run, "s", "a", "--json", cwd=store.parent))
    assert [row["text"] for row in rows] == ["s", "a", "total"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["{run}", "{run}/vocab.model"], 3, "is a vocabulary, not text"),
        (["{run}", "{run}/model.safetensors"], 3, "is a file of weights, not text"),
        (["{store}", "{text}"], 3, "is a token store, not a run"),
        (["{run}/vocab.model", "{text}"], 3, "is a vocabulary, not a run"),
        (["{run}/checkpoint", "{text}"], 3, "a part of the run {run}"),
        (["{run}", "{store}", "--document", "line"], 2, "--document"),
        (["{run}", "{store}", "--errors", "replace"], 2, "--errors"),
        (["{run}", "{text}", "--per", "line", "--document", "line"], 2, "--document"),
        (["{run}", "{text}", "--bits"], 2, "--bits goes with --per"),
        (["{run}", "{text}", "--carry"], 2, "--carry goes with --per line"),
        (["{run}", "{text}", "--per", "line", "--carry", "--document", "line"], 2, "--carry"),
        (["{run}", "{text}", "--given", ""], 2, "--given needs some text"),
        (["{words}", "{text}", "--given", " "], 2, "--given ' ' holds no word"),
        (["{run}", "{text}", "--oov", "include"], 2, "--oov is for a vocabulary of type word"),
    ],
)
def test_wrong_uses_name_their_cause(
    seqtool: Command, small_run: Path, word_run: Path, store: Path, arguments: list[str], code: int, message: str
):
    names = {"run": small_run, "words": word_run, "store": store, "text": store.parent / "a"}
    words = [word.format(**names) for word in arguments]
    assert message.format(**names) in error_of(seqtool("eval", *words), code)


def test_what_is_given_is_read_and_not_scored(seqtool: Command, small_run: Path, transformer_run: Path):
    """By characters, the cost behind a prefix is that of both but for the prefix's own."""

    def cost(*flags: str, text: str) -> list[float]:
        return [row["nats"] for row in rows_of(seqtool("eval", small_run, "-", "--json", *flags, stdin=text.encode()))]

    given = "It was said that é"
    (prefix,) = cost(text=given)
    for line in ("so\n", "it was not"):
        (both,), (behind,) = cost(text=given + line), cost("--given", given, text=line)
        assert behind == pytest.approx(both - prefix, rel=1e-5)
    alone = [cost("--given", given, text=line)[0] for line in ("so\n", "it was not\n", "x\n")]
    assert cost("--given", given, "--per", "line", text="so\nit was not\nx\n") == pytest.approx(alone, rel=1e-5)
    (report,) = rows_of(seqtool("eval", transformer_run, "-", "--json", "--given", "so " * 40, stdin=b"one\ntwo"))
    for flags in (["line", "--carry"], ["word"], ["document"]):
        rows = seqtool(
            "eval", transformer_run, "-", "--json", "--given", "so " * 40, "--per", *flags, stdin=b"one\ntwo"
        )
        assert sum(row["nats"] for row in rows_of(rows)) == pytest.approx(report["nats"], rel=1e-5)
    assert report["given"] == "so " * 40


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


def test_a_byte_vocabulary_that_folds_loses_letter_case(seqtool: Command, tmp_path: Path):
    text, run = tmp_path / "text", tmp_path / "run"
    text.write_text("The Cat Sat on THE mat\n" * 50)
    assert seqtool("vocab", text, "--type", "byte", "--lowercase", "-o", tmp_path / "v", "-q").returncode == 0
    small = ["--hidden", 8, "--steps", 2, "--batch-size", 2, "-q"]
    assert seqtool("train", text, "--vocab", tmp_path / "v", "-o", run, *small).returncode == 0
    assert json.loads(seqtool("eval", run, text, "--json").stdout)["text_lost"] == ["letter case"]


def test_a_symbol_against_a_word_loses_its_place(seqtool: Command, tmp_path: Path):
    text, run = tmp_path / "text", tmp_path / "run"
    text.write_text("the <user> cat sat\n" * 50)
    words = ["--type", "word", "--symbols", "<user>", "--min-count", 1, "-o", tmp_path / "v", "-q"]
    assert seqtool("vocab", text, *words).returncode == 0
    small = ["--hidden", 8, "--steps", 2, "--batch-size", 2, "-q"]
    assert seqtool("train", text, "--vocab", tmp_path / "v", "-o", run, *small).returncode == 0
    for content, lost in ((b"the <user> cat\n", []), (b"the<user>cat\n", ["white space"])):
        scored = seqtool("eval", run, "-", "--json", stdin=content)
        assert json.loads(scored.stdout)["text_lost"] == lost, content


def test_adapted_figures_stand_beside_the_static_ones(seqtool: Command, small_run: Path, tmp_path: Path):
    (tmp_path / "a.txt").write_text("the quick brown fox jumps over the lazy dog. " * 60)
    (tmp_path / "b.txt").write_text("the quick brown fox jumps over the lazy dog. " * 20)
    weights = (small_run / "model.safetensors").read_bytes()
    static = json.loads(seqtool("eval", small_run, tmp_path / "a.txt", "--json").stdout)
    found = json.loads(seqtool("eval", small_run, tmp_path / "a.txt", "--adapt", "--json").stdout)
    assert found["nats"] == static["nats"]
    assert found["adapted_nats_per_token"] < 0.95 * found["nats_per_token"]
    assert found["adapted_nats_per_token"] == pytest.approx(found["adapted_nats"] / found["tokens"])
    assert not any(name.startswith("adapt") for name in static)
    assert (small_run / "model.safetensors").read_bytes() == weights
    shown = seqtool("eval", small_run, "-", "--adapt", stdin=(tmp_path / "a.txt").read_bytes()).stdout.decode()
    assert f"adapted nats per token        {found['adapted_nats_per_token']:.4f}" in shown
    table = seqtool("eval", small_run, tmp_path / "a.txt", tmp_path / "b.txt", "--adapt").stdout.decode().splitlines()
    assert table[0].split()[-3:] == ["adapted", "adapted", "bits"]
    first, second, total = (float(line.split()[-2]) for line in table[1:4])
    assert second < total < first  # the second text finds what the first has left


@pytest.mark.parametrize(("flags", "told"), [
    (["--adapt-rate", 1e-3], "--adapt-rate: nothing adapts without --adapt"),
    (["--adapt-every", 8, "--adapt-decay", 0.1], "--adapt-every and --adapt-decay: nothing adapts"),
    (["--adapt", "--per", "line"], "leave out --per"),
    (["--adapt", "--given", "x"], "leave out --given"),
    (["--adapt", "--adapt-every", 0], "at least 1"),
])  # fmt: skip
def test_what_adapts_is_a_total_of_one_run(seqtool: Command, small_run: Path, flags: list[object], told: str):
    assert told in error_of(seqtool("eval", small_run, "-", *flags, stdin=b"text\n"), 2)
