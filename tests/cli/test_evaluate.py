"""`seqtool eval` as it is used: behind a stream, in a pipeline, on several texts, for several runs."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import Command


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
    files = {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()}
    static = json.loads(seqtool("eval", small_run, tmp_path / "a.txt", "--json").stdout)
    found = json.loads(seqtool("eval", small_run, tmp_path / "a.txt", "--adapt", "--json").stdout)
    assert found["nats"] == static["nats"]
    assert found["adapted_nats_per_token"] < 0.95 * found["nats_per_token"]
    assert found["adapted_nats_per_token"] == pytest.approx(found["adapted_nats"] / found["tokens"])
    assert not any(name.startswith("adapt") for name in static)
    assert (found["adapt_rate"], found["adapt_every"], found["adapt_decay"]) == (0.002, 32, 0.02)
    assert {path: path.read_bytes() for path in small_run.rglob("*") if path.is_file()} == files
    named = json.loads(seqtool("eval", small_run, "--text", tmp_path / "a.txt", "--adapt", "--json").stdout)
    assert named["adapted_nats"] == found["adapted_nats"]
    shown = seqtool("eval", small_run, "-", "--adapt", stdin=(tmp_path / "a.txt").read_bytes()).stdout.decode()
    assert f"adapted nats per token        {found['adapted_nats_per_token']:.4f}" in shown
    table = seqtool("eval", small_run, tmp_path / "a.txt", tmp_path / "b.txt", "--adapt").stdout.decode().splitlines()
    assert table[0].split()[-3:] == ["adapted", "adapted", "bits"]
    first, second, total = (float(line.split()[-2]) for line in table[1:4])
    assert second < total < first  # the second text finds what the first has left


@pytest.mark.parametrize(("flags", "told"), [
    (["--adapt-rate", 1e-3], "--adapt-rate: nothing adapts without --adapt"),
    (["--adapt-every", 8, "--adapt-decay", 0.1], "--adapt-every and --adapt-decay: nothing adapts"),
    (["--cache-weight", 0.2], "--cache-weight: there is nothing to look back at without --cache"),
    (["--cache", 9, "--per", "line"], "--per: --cache gives totals"),
    (["--cache", 9, "--cache-weight", 1.0], "at most 0.99"),
    (["--adapt", "--per", "line"], "--per: --adapt gives totals"),
    (["--adapt", "--given", "x"], "--given: --adapt gives totals"),
    (["--adapt", "--adapt-every", 0], "at least 1"),
])  # fmt: skip
def test_what_adapts_is_a_total_of_one_run(seqtool: Command, small_run: Path, flags: list[object], told: str):
    assert told in error_of(seqtool("eval", small_run, "-", *flags, stdin=b"text\n"), 2)


def test_a_cache_gives_adapted_figures_alone_and_with_learning(
    seqtool: Command, small_run: Path, transformer_run: Path, tmp_path: Path
):
    (tmp_path / "a.txt").write_text("a quick brown fox jumps over a lazy dog. " * 30)
    asked = ["eval", small_run, tmp_path / "a.txt", "--json"]
    looks, learns, both = (
        json.loads(seqtool(*asked, *more).stdout)
        for more in (["--cache", 200, "--cache-flatness", 20], ["--adapt"], ["--adapt", "--cache", 200])
    )
    assert looks["adapted_nats"] < looks["nats"] == learns["nats"]
    assert both["adapted_nats"] < learns["adapted_nats"]
    assert (looks["cache"], looks["cache_weight"], "adapt_rate" in looks) == (200, 0.2, False)
    refused = error_of(seqtool("eval", transformer_run, tmp_path / "a.txt", "--cache", 5), 2)
    assert "carries a state" in refused
    made = [
        seqtool("generate", small_run, "--prompt", "the", "--max-tokens", 40, "--seed", 2, *more).stdout
        for more in ([], ["--cache", 50, "--cache-weight", 0.9], ["--cache", 50, "--cache-weight", 0.9])
    ]
    assert made[0] != made[1] == made[2]


def test_one_run_adapts_and_windows_are_its_segments(seqtool: Command, small_run: Path, transformer_run: Path):
    several = ["eval", small_run, transformer_run, "--text", "-", "--adapt"]
    assert "--adapt is for one run" in error_of(seqtool(*several, stdin=b"text"), 2)
    of_windows = ["eval", transformer_run, "-", "--adapt"]
    told = error_of(seqtool(*of_windows, "--adapt-every", 8, stdin=b"text"), 2)
    assert "give --stride" in told
    found = json.loads(seqtool(*of_windows, "--stride", 4, "--json", stdin=b"a text of some words. " * 9).stdout)
    assert (found["adapt_every"], found["adapted_nats"] != found["nats"]) == (4, True)
