"""Telling a label for each token, through the real command: in columns or lines, whole or in pieces, as they come."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from corpora import memory
from corpora.memory import written
from corpora.tagged import conllu, drawn
from tests.cli.test_contract import error_of
from tests.conftest import Command, Start
from tests.tasks.tables import done, report

SMALL = ["--hidden", 16, "--embed", 16, "--batch-size", 16, "-q"]


def treebank(path: Path, rows: int, seed: int = 0) -> Path:
    """Sentences of a small grammar in which a word's tag depends on the words around it."""
    path.write_text("".join(map(conllu, drawn(rows, seed))))
    return path


@pytest.fixture(scope="module")
def tagged(seqtool: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tags the grammar's sentences, beside its data."""
    folder = tmp_path_factory.mktemp("tag")
    train = treebank(folder / "train.conllu", 500)
    treebank(folder / "test.conllu", 100, seed=1)
    done(seqtool, "train", train, "--target", "upos", "-o", folder / "run", *SMALL, "--lr", 2e-2, "--steps", 120)
    return folder


def told(seqtool: Command, run: Path, content: str | bytes, *options: object) -> list[dict[str, Any]]:
    """The answers to some sentences, a JSON object each."""
    content = content.encode() if isinstance(content, str) else content
    return [
        json.loads(line) for line in done(seqtool, "predict", run, "-", "--json", *options, stdin=content).splitlines()
    ]


def test_a_grammar_is_learned_beyond_what_words_alone_tell(seqtool: Command, tagged: Path):
    found = report(seqtool, "eval", tagged / "run", tagged / "test.conllu")
    assert found["accuracy"] > 0.98 > 0.95 > found["baseline_accuracy"] > 0.7
    assert found["sentence_accuracy"] > found["baseline_sentence_accuracy"]
    assert found["spans"] is None
    assert found["unseen_words"] == 0
    assert found["unseen_words_accuracy"] is None


@pytest.mark.parametrize(
    "model", ["transformer", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gru", "rnn", "ffn"))]
)
def test_every_architecture_learns_it(seqtool: Command, tagged: Path, tmp_path: Path, model: str):
    small = [*SMALL[:2], *SMALL[4:]] if model == "transformer" else SMALL
    done(
        seqtool, "train", tagged / "train.conllu", "--target", "upos", "--model", model, "-o", tmp_path / "run", *small,
        "--lr", 1e-2, "--steps", 60,
    )  # fmt: skip
    found = report(seqtool, "eval", tmp_path / "run", tagged / "test.conllu")
    assert found["accuracy"] > found["baseline_accuracy"]


def test_eval_agrees_with_what_predict_writes(seqtool: Command, tagged: Path):
    out = done(seqtool, "predict", tagged / "run", tagged / "test.conllu").decode()
    truth = [line.split("\t") for line in (tagged / "test.conllu").read_text().splitlines()]
    rows = [line.split("\t") for line in out.splitlines()]
    assert [row[0] for row in rows] == [row[1] if len(row) > 1 else "" for row in truth]
    right = [own[1] == true[3] for own, true in zip(rows, truth, strict=True) if len(true) > 1]
    found = report(seqtool, "eval", tagged / "run", tagged / "test.conllu")
    assert found["accuracy"] == pytest.approx(sum(right) / len(right))
    assert found["tokens"] == len(right)
    assert found["sentences"] == 100


@pytest.mark.parametrize(
    "model", ["lstm", "transformer", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gru", "rnn", "ffn"))]
)
def test_a_sentence_is_tagged_the_same_alone_in_any_batch_and_in_any_order(
    seqtool: Command, tagged: Path, tmp_path: Path, model: str
):
    run = tmp_path / "run"
    small = ["--hidden", 16, "--batch-size", 16, "-q", *(["--embed", 8] if model != "transformer" else [])]
    done(
        seqtool, "train", tagged / "train.conllu", "--target", "upos", "--model", model, "-o", run, *small, "--steps", 10,
        "--max-length", 20,
    )  # fmt: skip
    lines = [" ".join(word for word, _ in sentence) for sentence in drawn(30, 2)]
    lines += ["", "dog", "the light " * 60, "unheard-of Words 42"]

    def numbers(asked: list[str], *options: object) -> list[list[float]]:
        answers = told(seqtool, run, "".join(f"{line}\n" for line in asked), "-k", 99, *options)
        assert [answer["tokens"] for answer in answers] == [line.split() for line in asked]
        return [[p for token in answer["likeliest"] for _, p in sorted(token)] for answer in answers]

    together = numbers(lines)

    def same(one: list[list[float]], other: list[list[float]]) -> None:
        for own, others in zip(one, other, strict=True):
            assert own == pytest.approx(others, abs=1e-6)

    same(numbers(lines, "--batch-size", 1), together)
    same(numbers(lines[::-1], "--batch-size", 7)[::-1], together)
    same(numbers(lines[3:4]), together[3:4])


def test_odd_input_is_answered_row_by_row(seqtool: Command, tagged: Path):
    """One-word sentences, CRLF, empty lines, a token with spaces, ranges, empty nodes, comments, no newline at the end."""
    columns = "\t".join("_" * 8)
    rows = [
        "# text = x", f"1-2\tdon't\t{columns}", f"1\tdo\t{columns}", f"2\tn't\t{columns}", f"2.1\t10 000\t{columns}", "", "",
        "# another", f"1\t10 000\t{columns}", "", f"1\tdog\t{columns}",
    ]  # fmt: skip
    for newline in ("\n", "\r\n"):
        out = done(seqtool, "predict", tagged / "run", "-", stdin=newline.join(rows).encode()).decode()
        lines = [line.split("\t") for line in out.split("\n")]
        assert [line[0] for line in lines] == ["1-2", "do", "n't", "2.1", "", "10 000", "", "dog", "", ""]
        assert [len(line) for line in lines] == [10, 2, 2, 10, 1, 2, 1, 2, 1, 1]
    out = done(seqtool, "predict", tagged / "run", "-", stdin=b"dog\r\n\r\n  \nthe dog").decode()
    assert [line.split("\t")[0] for line in out.split("\n")] == ["dog", "", "", "", "the", "dog", "", ""]
    assert done(seqtool, "predict", tagged / "run", "-", "-k", 2, stdin=b"dog\n").decode().count("\t") == 4


def test_text_with_a_tab_in_it_is_text_and_columns_with_a_broken_line_are_columns(seqtool: Command, tagged: Path):
    lines = ["the\tdog", "the cat", "a dog"]
    assert [answer["tokens"] for answer in told(seqtool, tagged / "run", "\n".join(lines))] == [
        ["the", "dog"], ["the", "cat"], ["a", "dog"],
    ]  # fmt: skip
    lines = ["1\tthe\t_", "2 dog _", "3\tran\t_", ""]
    refused = seqtool("predict", tagged / "run", "-", stdin="\n".join(lines).encode())
    assert refused.returncode == 3
    assert b"line 2 of standard input" in refused.stderr


def test_every_token_of_a_long_sentence_is_tagged(seqtool: Command, tagged: Path, tmp_path: Path):
    run = tmp_path / "run"
    long = tmp_path / "long.conllu"
    long.write_text((tagged / "train.conllu").read_text().replace("\n\n", "\n", 30))
    done(
        seqtool, "train", long, "--target", "upos", "-o", run, *SMALL, "--steps", 5, "--model", "transformer",
        "--context", 8, "--embed", 0,
    )  # fmt: skip
    assert json.loads((run / "config.json").read_text())["task"]["max_length"] == 8
    (answer,) = told(seqtool, run, "the dog sees a cat " * 100)
    assert len(answer["tags"]) == 500
    assert report(seqtool, "eval", run, long)["sentences"] == 500 - 30


def test_labels_that_training_has_not_are_errors_and_named(seqtool: Command, tagged: Path, tmp_path: Path):
    other = tmp_path / "other.conllu"
    other.write_text((tagged / "test.conllu").read_text().replace("PUNCT", "MARK"))
    found = report(seqtool, "eval", tagged / "run", other)
    assert found["unseen_labels"] == ["MARK"]
    assert found["unseen"] == 100
    assert found["sentence_accuracy"] == 0.0
    result = seqtool(
        "train", tagged / "train.conllu", "--target", "upos", "--valid", other, "-o", tmp_path / "run",
        *SMALL[:-1], "--steps", 3,
    )  # fmt: skip
    assert result.returncode == 0
    assert b"100 tokens of " in result.stderr
    assert b"have labels that the training examples have not (MARK)" in result.stderr


def test_spans_are_scored_where_tags_mark_them(seqtool: Command, tmp_path: Path):
    names = ["Ann Lee", "Bob", "Paris", "New York"]
    with open(tmp_path / "ner.bio", "w") as stream:
        for row in range(200):
            name = names[row % 4].split()
            kind = "PER" if row % 4 < 2 else "LOC"
            tokens = ["we", "saw", *name, "again"][: 4 + row % 2 * len(name)]
            tags = [f"{'I' if place > 2 else 'B'}-{kind}" if 2 <= place < 2 + len(name) else "O" for place in range(9)]
            stream.writelines(f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=False))
            stream.write("\n")
    run = tmp_path / "run"
    done(seqtool, "train", tmp_path / "ner.bio", "--target", "tag", "-o", run, *SMALL, "--steps", 100, "--lr", 1e-2)
    found = report(seqtool, "eval", run, tmp_path / "ner.bio")
    assert found["spans"]["f1"] > 0.95
    assert found["spans"]["support"] == 200
    shown = done(seqtool, "eval", run, tmp_path / "ner.bio").decode()
    assert "spans f1" in shown
    assert "LOC" in shown
    out = done(seqtool, "predict", run, "-", stdin=b"we saw New York again\n").decode()
    assert out == "we\tO\nsaw\tO\nNew\tB-LOC\nYork\tI-LOC\nagain\tO\n\n"


def test_a_killed_training_goes_on_exactly(seqtool: Command, tagged: Path, tmp_path: Path):
    command = ["train", tagged / "train.conllu", "--target", "upos", *SMALL, "--steps", 30, "--checkpoint-every", 5]
    command += ["--dropout-embedding", 0.2, "--ema", 0.9, "--class-weight", "balanced", "--best-by", "f1"]
    done(seqtool, *command, "-o", tmp_path / "whole")
    run = tmp_path / "run"
    killed = seqtool(*command, "-o", run, kill=(9, [(f"{run}/checkpoint/state.safetensors", 0.1)]))
    assert killed.returncode == -9 or killed.returncode == 137, killed.returncode
    done(seqtool, *command, "-o", run, "--resume")
    assert (run / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_an_answer_does_not_wait_for_the_next_sentence(start: Start, tagged: Path):
    command = start("predict", tagged / "run", "-", "-q")
    assert command.stdin is not None
    assert command.stdout is not None
    for words in (b"the dog", b"dogs"):
        command.stdin.write(words + b"\n")
        lines = b""
        while not lines.endswith(b"\n\n"):
            lines += command.stdout.read(1)
        assert [line.split(b"\t")[0] for line in lines.split(b"\n")[:-2]] == words.split()
    command.stdin.close()
    assert command.wait() == 0


def test_a_broken_sentence_has_an_empty_answer_and_the_others_theirs(seqtool: Command, tagged: Path, tmp_path: Path):
    lines = ["1\tdog\t" + "\t".join("_" * 8), "", "1\tdog", "", "1\tdogs\t" + "\t".join("_" * 8), ""]
    path = tmp_path / "ragged.conllu"
    path.write_text("\n".join(lines))
    result = seqtool("predict", tagged / "run", path)
    assert result.returncode == 3
    assert result.stdout.startswith(b"dog\t")
    assert b"line 3 of" in result.stderr
    assert b"has 2 fields, not 10" in result.stderr
    result = seqtool("predict", tagged / "run", path, "--errors", "replace")
    assert result.returncode == 0
    assert b"1 row has no answer" in result.stderr
    rows = [line.split(b"\t") for line in result.stdout.split(b"\n")]
    assert [len(row[-1]) > 0 for row in rows] == [True, False, False, False, True, False, False]
    assert len(told(seqtool, tagged / "run", path.read_text(), "--errors", "replace")) == 3


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--task", "tag"], 2, "--target COLUMN: say which column has the labels, of id, form, lemma, upos"),
        (["--target", "pos"], 2, "column 'pos'"),
        (["--target", "form"], 2, "that is the column of the words"),
        (["--target", "upos,xpos"], 2, "labels are told of one column"),
        (["--target", "lemma"], 3, "lemma is '_' everywhere"),
        (["--target", "upos", "--weight", "id"], 2, "--weight: that is for other tasks, not to tag"),
        (["--target", "upos", "--model", "bag"], 2, "--model bag does not learn to tag"),
    ],
)
def test_what_cannot_be_learned_is_refused(
    seqtool: Command, tagged: Path, tmp_path: Path, options: list[str], code: int, message: str
):
    result = seqtool("train", tagged / "train.conllu", "-o", tmp_path / "run", *options)
    assert message in error_of(result, code)


def test_a_run_that_was_edited_is_refused(seqtool: Command, tagged: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(tagged / "run", run)
    config = json.loads((run / "config.json").read_text())
    config["task"]["words"]["listed"] = config["task"]["words"]["listed"].replace("dog", "cow")
    (run / "config.json").write_text(json.dumps(config))
    assert "config.json or the weights were edited" in error_of(seqtool("predict", run, "-", stdin=b"dog\n"), 3)


def test_a_plan_shows_labels_but_not_all_words(seqtool: Command, tagged: Path, tmp_path: Path):
    command = ["train", tagged / "train.conllu", "--target", "upos", "-o", tmp_path / "run", "--dry-run"]
    plan = report(seqtool, *command)
    assert plan["labels"] == ["ADJ", "ADV", "DET", "NOUN", "PRON", "PROPN", "PUNCT", "VERB"]
    assert plan["task"] == "tag"
    assert "words" not in plan
    assert plan["bidirectional"] is True


@pytest.mark.slow
def test_tokens_that_are_not_scored_teach_nothing_and_count_nothing(seqtool: Command, tmp_path: Path):
    """A label is told from what was read, and only where it is asked for."""
    train, test = tmp_path / "train.conll", tmp_path / "test.conll"
    for path, seed in ((train, 0), (test, 1)):
        draw = random.Random(seed)
        path.write_text("".join(written(memory.lag(draw, draw.randint(1, 6))) for _ in range(400)))
    flags = [
        "--target",
        "tag",
        "--unscored",
        "_",
        "--one-way",
        "--model",
        "gru",
        *SMALL[:2],
        "--lr",
        1e-2,
        "--steps",
        150,
        "-q",
    ]
    done(seqtool, "train", train, *flags, "--batch-size", 32, "-o", tmp_path / "run")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert "_" not in config["task"]["labels"]
    assert sum(config["task"]["counts"]) == 400
    found = report(seqtool, "eval", tmp_path / "run", test)
    assert found["tokens"] == 400
    assert found["accuracy"] > 0.5 > 0.2 > found["baseline_accuracy"]
    (answer,) = told(seqtool, tmp_path / "run", "a u ?\n")
    assert answer["tags"][2] == "a"


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        ("a\tx\nb\ty\n\n" * 9, ["--unscored", "_"], "--unscored _: no token of"),
        ("a\t_\nb\t_\n\n" * 9, ["--unscored", "_"], "there is nothing to tell apart"),
        ("a\tx\nb\ty\n\n" * 9 + "c\t_\n\n", ["--unscored", "_", "--valid", "valid"], "no token that is held back"),
    ],
)
def test_unscored_labels_that_leave_nothing_are_refused(
    seqtool: Command, tmp_path: Path, content: str, flags: list[str], message: str
):
    (tmp_path / "train.conll").write_text(content)
    (tmp_path / "valid.conll").write_text("c\t_\n\n")
    flags = [str(tmp_path / "valid.conll") if flag == "valid" else flag for flag in flags]
    ran = seqtool("train", tmp_path / "train.conll", "--target", "tag", *flags, "-o", tmp_path / "run")
    assert message in error_of(ran, 3)
