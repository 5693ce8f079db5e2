"""Judging texts: pairs in order, each scored once, what is too long or broken refused or left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqtool.errors import InputError, UsageError
from seqtool.runs.loading import ExampleRun, load_example_run
from seqtool.tasks.examples.asking import Asking
from seqtool.tasks.pairs import judging
from seqtool.tasks.pairs.asking import answered_texts
from seqtool.tasks.pairs.judging import judged_texts, scored_rows


@pytest.fixture(scope="module")
def run(translator: Path) -> ExampleRun:
    return load_example_run(translator / "run", torch.device("cpu"))


def files(folder: Path, source: str, target: str) -> tuple[list[str], str]:
    (folder / "a").write_text(source)
    (folder / "b").write_text(target)
    return [str(folder / "a")], str(folder / "b")


def test_an_empty_side_is_scored_like_any_other(run: ExampleRun, tmp_path: Path):
    paths, target = files(tmp_path, "the cat\n\nthe dog\n", "das Katze.\nleer\n\n")
    rows = list(scored_rows(run, paths, Asking(targets=target)))
    assert [one.tokens for one in rows] == [3, 2, 1]
    assert [one.pair.target for one in rows] == ["das Katze.", "leer", None]
    assert all(one.nats > 0 for one in rows)


def test_the_same_source_is_one_question_with_several_answers(run: ExampleRun, tmp_path: Path):
    paths, target = files(tmp_path, "the red cat\n" * 2, "x y z\ndas rot Katze.\n")
    found = judged_texts(run, paths, Asking(targets=target))
    assert (found["pairs"], found["sources"]) == (2, 1)
    assert found["exact_match"] == 1.0
    assert found["word_error_rate"] == 0.0


def test_a_pair_that_is_too_long_is_refused_by_its_line_or_left_out(
    run: ExampleRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(judging, "MOST_TOKENS", 10)
    paths, target = files(tmp_path, "the cat\n" + "the " * 20 + "\n", "das Katze.\ndas\n")
    with pytest.raises(InputError, match=r"line 2 of .* has more than 10 tokens: mend it, or leave such rows out"):
        judged_texts(run, paths, Asking(targets=target))
    assert judged_texts(run, paths, Asking(targets=target, errors="replace"))["left_out"] == 1


def test_a_pair_that_cannot_be_read_keeps_its_place(run: ExampleRun, tmp_path: Path):
    paths, target = files(tmp_path, "the cat\nthe dog\nthe bird\n", "das Katze.\nX\ndas Vogel.\n")
    (tmp_path / "a").write_bytes(b"the cat\n\xff\nthe bird\n")
    rows = list(scored_rows(run, paths, Asking(targets=target, errors="replace")))
    assert [(one.nats is None, one.tokens) for one in rows] == [(False, 3), (True, 0), (False, 3)]
    assert [one.pair.target for one in rows] == ["das Katze.", "X", "das Vogel."]


def test_the_texts_that_are_judged_are_those_that_predict_writes(run: ExampleRun, tmp_path: Path):
    """Of a row that is longer than any of training `predict` reads the beginning; nats are of all of it."""
    short = replace(run, config=replace(run.config, task={**run.config.task, "max_length": 2}))
    paths, target = files(tmp_path, "the red cat likes the dog\n", "x\n")
    told: list[str] = []
    ((answer,),) = answered_texts(short, paths, Asking(told=told, format="lines"))
    (tmp_path / "b").write_text(answer.content["text"] + "\n")
    found = judged_texts(short, paths, Asking(targets=target))
    assert found["exact_match"] == 1.0
    assert told == [note for note in found["notes"] if "longer" in note]
    assert "1 row is longer than 2 tokens" in told[0]
    assert found["nats"] == judged_texts(run, paths, Asking(targets=target))["nats"]


def test_no_pairs_and_several_files_are_refused(run: ExampleRun, tmp_path: Path):
    paths, target = files(tmp_path, "x\ny\n", "x\n")
    with pytest.raises(InputError, match="has 2 rows and"):
        judged_texts(run, paths, Asking(targets=target))
    with pytest.raises(UsageError, match="one file at a time"):
        judged_texts(run, paths * 2, Asking(targets=target))
