"""The task of translating, by the real commands: learning, going on exactly, answering line for line, judging."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Command, Start
from tests.tasks.pairs.pairs import SMALL, parallel, translated
from tests.tasks.tables import done, pupils, report
from tests.training.torchrun import two_of


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
    assert rows.pop(3) == ["2", "1", "", ""]  # the empty line's empty text, which no model wrote
    assert [row[:2] for row in rows] == [[str(n), str(rank)] for n in (1, 3) for rank in (1, 2, 3)]
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
    nats = [float(line.split("\t")[2]) for line in drawn]
    assert all(nats[place] <= nats[place + 1] for place in range(0, 80, 2))


def test_a_row_without_an_answer_has_the_columns_of_others(seqtool: Command, translator: Path):
    asked = ["predict", translator / "run", "-", "--errors", "replace"]
    broken = b"the red cat\n\xff\n\nthe dog\n"
    aligned = [line.split("\t") for line in lines(done(seqtool, *asked, "--align", stdin=broken))]
    assert [len(row) for row in aligned] == [2, 2, 2, 2]
    ranked = [line.split("\t") for line in lines(done(seqtool, *asked, "--align", "-n", 2, stdin=broken))]
    assert ranked[2:4] == [["2", "", "", "", ""], ["3", "1", "", "", ""]]
    assert [row[0] for row in ranked] == ["1", "1", "2", "3", "4", "4"]
    told = [json.loads(line) for line in lines(done(seqtool, *asked, "-n", 2, "--json", stdin=broken))]
    assert told[1] == {"row": 2, "problem": "is not valid UTF-8"}
    assert told[2] == {"row": 3, "texts": [{"text": "", "nats": None, "ended": True}]}


def test_a_pair_that_cannot_be_read_is_a_row_without_nats(seqtool: Command, translator: Path, tmp_path: Path):
    (tmp_path / "a").write_bytes(b"the cat\n\xff\nthe dog\n")
    (tmp_path / "b").write_text("das Katze.\nX\ndas Hund.\n")
    asked = ["eval", translator / "run", tmp_path / "a", "--target", tmp_path / "b", "--per", "line"]
    rows = lines(done(seqtool, *asked, "--errors", "replace"))
    assert (len(rows), rows[1]) == (3, "\t0\t\tX")
    told = [json.loads(line) for line in lines(done(seqtool, *asked, "--errors", "replace", "--json"))]
    assert told[1] == {"nats": None, "tokens": 0, "perplexity": None, "text": "X"}


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


@pytest.mark.parametrize("model", ["lstm", pytest.param("transformer", marks=pytest.mark.slow)])
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
    (elsewhere := tmp_path / "elsewhere").mkdir()
    done(seqtool, "train", "../train.a", "-o", run, "--resume", "--steps", 20, "-q", cwd=elsewhere)
    done(seqtool, "train", source, "--target", "train.b", "-o", run, "--resume", "--steps", 30, "-q", cwd=tmp_path)
    weights = [(path / "model.safetensors").read_bytes() for path in (tmp_path / "whole", run)]
    assert weights[0] == weights[1]
    (tmp_path / "train.b").write_text((tmp_path / "train.b").read_text().replace("rot", "gelb"))
    result = seqtool("train", source, "--target", target, "-o", run, "--resume", "--steps", 40)
    assert result.returncode == 3
    assert b"was trained on other text" in result.stderr


@pytest.mark.slow
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
    "half a validation": (["--target", "train.b", "--valid", "valid.a"], b"name that, too: --valid SOURCE,TARGET"),
    "another task's setting": (
        ["--target", "train.b", "--horizon", 3, "--task", "translate"],
        b"--horizon: that is for",
    ),
    "attention of a transformer": (
        ["--target", "train.b", "--model", "transformer", "--attention", "none"],
        b"--attention none is for recurrent nets: a transformer has luong or rotary",
    ),
    "a model that does not write": (
        ["--target", "train.b", "--model", "ffn"],
        b"--model ffn does not learn to translate",
    ),
    "a pooling": (["--target", "train.b", "--pooling", "max"], b"--pooling: that is for other tasks"),
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
        (
            ["eval", translator / "run", translator / "test.a"],
            b"stand in a file of their own; name that, too: --target FILE",
        ),
        (["eval", translator / "run", translator / "test.a", "--per", "token", "--target", "x"], b"--per token"),
        (["predict", translator / "run", translator / "test.a", "-k", 2], b"-k 2: "),
        (["predict", translator / "run", translator / "test.a", "--attention-map", "-"], b"name a file"),
        (["predict", translator / "run", translator / "test.a", "-n", 0], b"-n: give a number"),
        (["predict", translator / "run", translator / "test.a", "--beam", 2, "--temperature", 1], b"give one of them"),
    ):
        result = seqtool(*asked)
        assert result.returncode in (2, 3), asked
        assert message in result.stderr


def test_a_line_of_any_length_is_a_line(seqtool: Command, translator: Path):
    """What is longer than the model reads is cut off, and the lines after it stay in their places."""
    content = b"the red cat " * 30_000 + b"\nthe dog\n" + bytes(range(1, 10)) + b"\n"
    result = seqtool("predict", translator / "run", "-", stdin=content)
    assert (result.returncode, result.stdout.count(b"\n")) == (0, content.count(b"\n"))
    assert b"1 row is longer than 256 tokens" in result.stderr
    assert lines(result.stdout)[1] == lines(done(seqtool, "predict", translator / "run", "-", stdin=b"the dog\n"))[0]


@pytest.mark.slow
def test_the_best_weights_are_those_of_the_best_bleu(seqtool: Command, tmp_path: Path):
    pytest.importorskip("sacrebleu")
    source, target = parallel(tmp_path, "train", 300)
    valid = parallel(tmp_path, "valid", 30, seed=2)
    run = tmp_path / "run"
    asked = ["--valid", f"{valid[0]},{valid[1]}", "--target-type", "word", "--source-type", "word", "-o", run, *SMALL]
    asked += ["--best-by", "bleu", "--steps", 120, "--eval-every", 40, "--model", "gru"]
    found = report(seqtool, "train", source, "--target", target, *asked)
    scores = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    scores = [one["valid_score"] for one in scores if "valid_score" in one]
    assert found["valid_bleu"] == pytest.approx(max(scores))
    judged = report(seqtool, "eval", run, valid[0], "--target", valid[1])
    assert judged["bleu"] / 100 == pytest.approx(max(scores), abs=0.02)
    for data, flags in (
        (source, ["--target", target, "--best-by", "f1"]),
        (pupils(tmp_path / "p.csv"), ["--target", "pass", "--best-by", "bleu"]),
    ):
        result = seqtool("train", data, *flags, "-o", tmp_path / "no", "--steps", 1)
        assert result.returncode == 2
        assert b"that is for other tasks" in result.stderr


@pytest.mark.slow
def test_unknown_words_are_copied_where_it_is_asked(seqtool: Command, tmp_path: Path):
    """Names that occur once are <unk> on both sides: the model learns where they stand, and copies them."""
    names = [f"Name{n}" for n in range(400)]
    (tmp_path / "a").write_text("".join(f"{name} sees a {['cat', 'dog'][n % 2]}\n" for n, name in enumerate(names)))
    (tmp_path / "b").write_text("".join(f"{name} sieht {['Katze', 'Hund'][n % 2]}\n" for n, name in enumerate(names)))
    types = ["--source-type", "word", "--target-type", "word", "--attention", "bahdanau", "--model", "gru", *SMALL]
    done(seqtool, "train", "a", "--target", "b", "-o", "run", "--steps", 150, *types, cwd=tmp_path)
    asked = b"Zoe sees a dog\n"
    assert b"Zoe" not in done(seqtool, "predict", "run", "-", stdin=asked, cwd=tmp_path)
    told = done(seqtool, "predict", "run", "-", "--copy-unknown", stdin=asked, cwd=tmp_path).decode()
    assert "<unk>" not in told
    assert told.split()[0] in asked.decode().split()
    assert told.endswith(" sieht Hund\n")


def test_two_processes_learn_as_one_does(start: Start, seqtool: Command, tmp_path: Path):
    source, target = parallel(tmp_path, "train", 200)
    valid = ",".join(map(str, parallel(tmp_path, "valid", 20, seed=2)))
    train = ["train", source, "--target", target, "--valid", valid, "--model", "gru", "--steps", 20, *SMALL]
    train += ["--eval-every", 5, "--precision", "fp32", "--target-type", "word", "--source-type", "word"]
    done(seqtool, *train, "-o", tmp_path / "one")
    both = two_of(start, *train, "-o", tmp_path / "two")
    assert [process.wait() for process in both] == [0, 0]
    losses = [
        [
            json.loads(line)["valid_loss"]
            for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()
            if "valid_loss" in line
        ]
        for name in ("one", "two")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.slow
def test_a_killed_training_goes_on_as_if_it_was_not(seqtool: Command, tmp_path: Path):
    source, target = parallel(tmp_path, "train", 200)
    valid = ",".join(map(str, parallel(tmp_path, "valid", 20, seed=2)))
    train = ["train", source, "--target", target, "--valid", valid, "--steps", 60, *SMALL]
    train += ["--eval-every", 10, "--model", "gru"]
    done(seqtool, *train, "-o", tmp_path / "whole")
    run = tmp_path / "killed"
    result = seqtool(*train, "-o", run, kill=(9, [(f"{run}/config.json", 0.2)]))
    assert result.returncode == -9 or result.returncode == 137, result.stderr
    done(seqtool, *train, "-o", run, "--resume")
    weights = [(path / "model.safetensors").read_bytes() for path in (tmp_path / "whole", run)]
    assert weights[0] == weights[1]


def test_a_run_is_tuned_on_other_pairs(seqtool: Command, translator: Path, small_run: Path, tmp_path: Path):
    """With the vocabularies and weights that it has; a language model, or another way to read, has none of use."""
    source, target = parallel(tmp_path, "more", 60, seed=9)
    files = [source, "--target", target]
    valid = f"{translator / 'valid.a'},{translator / 'valid.b'}"
    asked = ["--valid", valid, "--from", translator / "run", "--steps", 1, "--lr", "1e-5", "-o", tmp_path / "run", "-q"]
    tuned = report(seqtool, "train", *files, *asked)
    (tmp_path / "t.tsv").write_text("".join(f"{n}\tw {n % 5}\n" for n in range(50)))
    judged = report(seqtool, "eval", translator / "run", translator / "valid.a", "--target", translator / "valid.b")
    assert tuned["valid_nats_per_token"] == pytest.approx(judged["nats"] / judged["target_tokens"], rel=0.01)
    result = seqtool("train", *files, "--from", small_run, "-o", tmp_path / "no", "--steps", 1, "--model", "lstm")
    assert result.returncode == 2
    assert b"--from" in result.stderr


@pytest.mark.slow
def test_syllables_are_read_letter_by_letter_where_it_is_asked(seqtool: Command, tmp_path: Path):
    rows = [f"{first}{second}\t{first} {second}\n" for first in "가나다" for second in "고노도구누두"] * 4
    (table := tmp_path / "w.tsv").write_text("".join(rows))
    asked = ["train", table, "--target", 2, "--source-type", "char", "--target-type", "word", "--steps", 20, *SMALL]
    sizes = {}
    for form in ("as-is", "nfd"):
        done(seqtool, *asked, "--source-form", form, "-o", tmp_path / form)
        sizes[form] = report(seqtool, "info", tmp_path / form)["vocab_size"]
        asked_for = done(seqtool, "predict", tmp_path / form, "-", stdin="가고\n".encode())
        assert asked_for.count(b"\n") == 1
        assert report(seqtool, "eval", tmp_path / form, table)["pairs"] == len(rows)
    assert sizes["nfd"] != sizes["as-is"]


def test_settings_of_translations_are_refused_elsewhere(seqtool: Command, prose_file: Path, tmp_path: Path):
    table = pupils(tmp_path / "p.csv")
    for data, flags, message in (
        (prose_file, ["--attention", "none"], b"--attention: that is for tasks on examples"),
        (prose_file, ["--batch-tokens", 100], b"--batch-tokens: that is for tasks on examples"),
        (table, ["--target", "pass", "--attention", "none"], b"--attention: that is for other tasks"),
        (table, ["--target", "pass", "--encoder", "steps"], b"--encoder: that is for other tasks"),
        (table, ["--target", "pass", "--tied"], b"--tied: that is for language models"),
        (
            table,
            ["--target", "pass", "--task", "classify", "--source-type", "char"],
            b"--source-type: that is for other",
        ),
    ):
        result = seqtool("train", data, *flags, "-o", tmp_path / "run", "--steps", 1)
        assert result.returncode == 2, flags
        assert message in result.stderr, result.stderr


def test_an_answer_does_not_wait_for_the_next_line(start: Start, translator: Path):
    process = start("predict", translator / "run", "-")
    for line in (b"the red cat\n", b"\n", b"the dog\n"):
        process.stdin.write(line)
        assert process.stdout.readline().endswith(b".\n" if line.strip() else b"\n")
    process.stdin.close()
    assert process.stdout.read() == b""
    assert process.wait() == 0


def test_sizes_and_settings_are_told_before_anything_is_trained(seqtool: Command, tmp_path: Path):
    parallel(tmp_path, "train", 60)
    plans = [
        report(seqtool, "train", "train.a", "--target", "train.b", "--dry-run", *flags, cwd=tmp_path)
        for flags in ([], ["--untied", "--one-way"], ["--model", "transformer"], ["--batch-size", 7])
    ]
    assert [plan["task"] for plan in plans] == ["translate"] * 4
    assert (plans[0]["tied"], plans[0]["bidirectional"], plans[0]["attention"]) == (True, True, "luong")
    assert (plans[1]["tied"], plans[1]["bidirectional"]) == (False, False)
    assert plans[2]["parameters"] > plans[0]["parameters"]
    assert plans[0]["batch_tokens"] == 512  # of few pairs
    assert (plans[3]["batch_size"], plans[3]["batch_tokens"]) == (7, 0)


def test_a_line_is_a_text_whatever_it_begins_with(seqtool: Command, translator: Path):
    for content in (b'{"a": 1}\nthe dog\n', b"[1]\nthe dog\n", b"__label__x the cat\nthe dog\n", b"a\tb\nthe dog\n"):
        told = lines(done(seqtool, "predict", translator / "run", "-", stdin=content))
        assert len(told) == 2
        assert told[1] == lines(done(seqtool, "predict", translator / "run", "-", stdin=b"the dog\n"))[0]
