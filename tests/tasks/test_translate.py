"""The task of translating, by the real commands: learning, going on exactly, answering line for line, judging."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Command
from tests.tasks.pairs.pairs import SMALL, parallel, translated
from tests.tasks.tables import done, report


def lines(out: bytes) -> list[str]:
    return out.decode().split("\n")[:-1]


def test_a_language_is_learned_and_answered_line_for_line(seqtool: Command, translator: Path):
    asked = lines((translator / "test.a").read_bytes())
    told = lines(done(seqtool, "predict", translator / "run", translator / "test.a"))
    assert len(told) == len(asked)
    right = [one == translated(source) for source, one in zip(asked, told, strict=True)]
    assert np.mean(right) > 0.8


def test_the_answer_is_the_same_for_any_batch_and_an_empty_line_is_an_empty_one(seqtool: Command, translator: Path):
    content = (translator / "test.a").read_text().replace("\n", "\n\n", 3) + " \nthe\nthe the the the the the the the\n"
    one_by_one, many, searched, found = (
        lines(done(seqtool, "predict", translator / "run", "-", *more, stdin=content.encode()))
        for more in (["--batch-size", 1], [], ["--beam", 3, "--batch-size", 1], ["--beam", 3])
    )
    assert one_by_one == many
    assert searched == found
    assert len(many) == content.count("\n")
    assert [place for place, line in enumerate(many) if not line] == [1, 3, 5, 43]


def test_several_texts_are_ranked_and_the_nats_are_the_models(seqtool: Command, translator: Path, tmp_path: Path):
    out = done(seqtool, "predict", translator / "run", "-", "-n", 3, "--beam", 4, stdin=b"the red cat\n\nthe dog\n")
    rows = [line.split("\t") for line in lines(out)]
    assert [row[:2] for row in rows] == [[str(n), str(rank)] for n in (1, 2, 3) for rank in (1, 2, 3)]
    assert len({row[3] for row in rows[:3]}) == 3
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("the red cat\n" * 3)
    target.write_text("".join(row[3] + "\n" for row in rows[:3]))
    scored = done(seqtool, "eval", translator / "run", source, "--target", target, "--per", "line")
    nats = [line.split("\t") for line in lines(scored)]
    assert [float(row[0]) for row in nats] == pytest.approx([float(row[2]) for row in rows[:3]], abs=2e-3)
    assert [row[3] for row in nats] == [row[3] for row in rows[:3]]


def test_drawing_is_the_same_for_the_same_seed_and_any_batch(seqtool: Command, translator: Path):
    asked = ["predict", translator / "run", translator / "test.a", "--temperature", 2]
    first = done(seqtool, *asked, "--seed", 1)
    assert first == done(seqtool, *asked, "--seed", 1, "--batch-size", 3)
    assert first != done(seqtool, *asked, "--seed", 2)
    drawn = lines(done(seqtool, *asked, "-n", 2))
    assert len(drawn) == 80
    assert any(drawn[place].split("\t")[3] != drawn[place + 1].split("\t")[3] for place in range(0, 80, 2))


def test_it_is_judged_beside_a_copy(seqtool: Command, translator: Path):
    asked = ["eval", translator / "run", translator / "test.a", "--target", translator / "test.b"]
    found = report(seqtool, *asked)
    assert found["pairs"] == 40
    assert found["sources"] == len({*lines((translator / "test.a").read_bytes())})
    assert found["exact_match"] > 0.8
    assert found["line_error_rate"] == pytest.approx(1 - found["exact_match"])
    assert found["perplexity_per_token"] == pytest.approx(np.exp(found["nats"] / found["target_tokens"]))
    assert found["baseline"] == "the source, copied"
    assert found["bleu"] > 80 > found["baseline_bleu"] + 50
    assert "tok:13a" in found["bleu_signature"]
    rows = [line.split("\t") for line in lines(done(seqtool, *asked, "--per", "line"))]
    assert sum(float(row[0]) for row in rows) == pytest.approx(found["nats"], abs=0.01)
    assert sum(int(row[1]) for row in rows) == found["target_tokens"]
    told = [json.loads(line)["text"] for line in lines(done(seqtool, *asked, "--per", "line", "--json"))]
    assert told == lines((translator / "test.b").read_bytes())


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_a_training_goes_on_exactly(seqtool: Command, tmp_path: Path, model: str):
    """Stopped half-way and resumed, from another directory as well, it has the same weights as one that was not."""
    source, target = parallel(tmp_path, "train", 120)
    valid = ",".join(map(str, parallel(tmp_path, "valid", 10, seed=2)))
    common = ["--model", model, "--hidden", 16, "--eval-every", 10, "--batch-tokens", 100, "-q"]
    common += ["--source-type", "char", "--target-type", "word"]
    common += ["--schedule", "constant", "--warmup", 0]
    train = ["train", source, "--target", target, "--valid", valid, *common]
    done(seqtool, *train, "--steps", 30, "-o", tmp_path / "whole")
    run = tmp_path / "parts"
    done(seqtool, *train, "--steps", 15, "-o", run)
    done(seqtool, "train", source, "--target", target, "-o", run, "--resume", "--steps", 30, "-q", cwd=tmp_path)
    weights = [(path / "model.safetensors").read_bytes() for path in (tmp_path / "whole", run)]
    assert weights[0] == weights[1]
    (tmp_path / "train.b").write_text((tmp_path / "train.b").read_text().replace("rot", "gelb"))
    result = seqtool("train", source, "--target", target, "-o", run, "--resume", "--steps", 40)
    assert result.returncode == 3
    assert b"was trained on other text" in result.stderr


def test_a_table_of_words_with_several_right_answers(seqtool: Command, tmp_path: Path):
    """Each letter is spelled by a word; one letter may be spelled in two ways."""
    spelled = {letter: f"{letter}{letter}" for letter in "abcdefg"}
    rows = []
    for n in range(343):
        word = "abcdefg"[n % 7] + "abcdefg"[n // 7 % 7] + "abcdefg"[n // 49]
        rows += [f"{word}\t{' '.join(spelled[letter] for letter in word)}\n"]
        if n % 5 == 0:
            rows += [f"{word}\t{' '.join(spelled[letter] for letter in word)} x\n"]
    (table := tmp_path / "words.tsv").write_text("".join(rows))
    run = tmp_path / "run"
    types = ["--source-type", "char", "--target-type", "word"]
    done(seqtool, "train", table, "--target", 2, *types, "-o", run, "--model", "gru", "--steps", 200, *SMALL)
    found = report(seqtool, "eval", run, table)
    assert found["sources"] == 343
    assert found["pairs"] == 412
    assert found["exact_match"] > 0.9
    assert found["word_error_rate"] < 0.1
    assert done(seqtool, "predict", run, "-", stdin=b"abc\n").decode() == "aa bb cc\n"
    aligned = done(seqtool, "predict", run, "-", "--align", stdin=b"abc\n").decode().split("\t")[1]
    assert [pair.split("-")[1] for pair in aligned.split()] == ["0", "1", "2"]
    assert {int(pair.split("-")[0]) for pair in aligned.split()} <= {0, 1, 2}


def test_numbers_get_captions(seqtool: Command, tmp_path: Path):
    drawn = np.random.default_rng(0)
    rows = ["x,y,caption"]
    for _ in range(300):
        x, y = drawn.uniform(-1, 1, 2)
        rows.append(
            f"{x:.3f},{y:.3f},a point on the {'right' if x > 0 else 'left'} and {'above' if y > 0 else 'below'}"
        )
    (table := tmp_path / "points.csv").write_text("\n".join(rows) + "\n")
    run = tmp_path / "run"
    done(
        seqtool,
        "train",
        table,
        "--target",
        "caption",
        "--task",
        "translate",
        "-o",
        run,
        "--steps",
        150,
        "--hidden",
        32,
        "-q",
    )
    found = report(seqtool, "eval", run, table)
    assert found["exact_match"] > 0.7 > 2 * found["baseline_exact_match"]
    assert found["baseline"] == "the commonest text of training"
    told = done(seqtool, "predict", run, "-", "--beam", 2, stdin=b"x,y\n0.9,-0.9\n").decode()
    assert told == "a point on the right and below\n"
    result = seqtool("predict", run, table, "--align")
    assert result.returncode == 2
    assert b"reads no text" in result.stderr


REFUSED: dict[str, tuple[list[Any], bytes]] = {
    "files of different lengths": (["--target", "short.b"], b"has 120 rows and"),
    "all empty": (["--target", "empty.b"], b"has no pairs to learn from: 120 have a side without text"),
    "half a validation": (["--target", "train.b", "--valid", "valid.a"], b"name that too"),
    "another task's setting": (
        ["--target", "train.b", "--horizon", 3, "--task", "translate"],
        b"--horizon: that is for",
    ),
    "attention of a transformer": (
        ["--target", "train.b", "--model", "transformer", "--attention", "none"],
        b"--attention is for --model rnn, gru, lstm",
    ),
    "a model that does not write": (
        ["--target", "train.b", "--model", "ffn"],
        b"--model ffn does not learn to translate",
    ),
    "class weights": (
        ["--target", "train.b", "--class-weight", "balanced"],
        b"--class-weight: that is for other tasks",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_learned_is_refused_in_a_sentence(seqtool: Command, tmp_path: Path, case: str):
    parallel(tmp_path, "train", 120)
    parallel(tmp_path, "valid", 10)
    (tmp_path / "short.b").write_text("eins\n")
    (tmp_path / "empty.b").write_text("\n" * 120)
    more, message = REFUSED[case]
    result = seqtool("train", "train.a", *more, "-o", "run", "--steps", 1, cwd=tmp_path)
    assert result.returncode in (2, 3)
    assert message in result.stderr
    assert b"Traceback" not in result.stderr
    assert not (tmp_path / "run").exists()


def test_flags_of_texts_are_refused_where_none_are_written(seqtool: Command, translator: Path, small_run: Path):
    for asked, message in (
        (["eval", small_run, translator / "test.a", "--beam", 3], b"--beam: "),
        (["eval", translator / "run", translator / "test.a"], b"the texts stand in a file of their own"),
        (["eval", translator / "run", translator / "test.a", "--per", "token", "--target", "x"], b"--per token"),
        (["predict", translator / "run", translator / "test.a", "-k", 2], b"-k 2: "),
        (["predict", translator / "run", translator / "test.a", "-n", 0], b"-n: give a number"),
        (["predict", translator / "run", translator / "test.a", "--beam", 2, "--temperature", 1], b"give one of them"),
    ):
        result = seqtool(*asked)
        assert result.returncode in (2, 3), asked
        assert message in result.stderr


def test_a_line_of_any_length_is_a_line(seqtool: Command, translator: Path):
    """What is longer than the model reads is cut off, and the lines after it stay in their places."""
    content = b"the red cat " * 30_000 + b"\nthe dog\n" + bytes(range(1, 10)) + b"\n"
    out = done(seqtool, "predict", translator / "run", "-", stdin=content)
    assert out.count(b"\n") == content.count(b"\n")
    assert lines(out)[1] == lines(done(seqtool, "predict", translator / "run", "-", stdin=b"the dog\n"))[0]
