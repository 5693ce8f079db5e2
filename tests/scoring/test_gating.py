"""Making gated mixtures in a process: what tokens are in words, what is read, what is refused, what is loaded again."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.errors import InputError
from seqtool.runs.config import WEIGHTS
from seqtool.runs.loading import load_run
from seqtool.scoring.adaptation import adaptive_scorer
from seqtool.scoring.gating import gate, token_kinds, work_of
from seqtool.scoring.mixing import copied_parts
from seqtool.scoring.scorer import Scorer
from seqtool.settings.scoring import EvalConfig
from seqtool.text.vocabulary import Vocabulary
from tests.cli.test_export import counts as counts
from tests.scoring.test_mixing import CPU, encoded
from tests.scoring.test_mixing import valid as valid
from tests.text.small_byte_level import small_vocabulary

MEMORY = 1 << 20


def quiet(done: int) -> None:
    pass


@pytest.fixture
def made(counts: Path, short_text: Path, valid: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "gated"
    told: list[int] = []
    texts = encoded(short_text, counts), encoded(valid, counts)
    result = gate(folder, [counts], copied_parts([counts], folder, CPU), *texts, MEMORY, told.append)
    assert told == sorted(told)
    assert told[-1] == work_of(*texts, 1) == sum(len(text.ids) for text in texts) + 2 * -(-len(texts[1].ids) // 2)
    assert result.read_tokens == sum(len(text.ids) - 1 for text in texts)
    assert result.valid_tokens == len(texts[1].ids) - 1
    return folder


def test_a_gated_run_is_loaded_and_predicts_better_than_its_part(made: Path, counts: Path, prose: str):
    run = load_run(made, CPU)
    assert (run.config.name, run.config.gated) == ("gated", True)
    ids = run.vocabulary.encode(prose[12000:16000])
    static = Scorer(run.model).score(ids, [0])
    assert static.mean() < Scorer(load_run(counts, CPU).model).score(ids, [0]).mean()
    adapted = adaptive_scorer(run.model, EvalConfig(adapt=True)).score(ids, [0])
    assert adapted.mean() < static.mean()
    assert np.array_equal(Scorer(run.model).score(ids, [0]), static)  # what was loaded has not learned


def test_the_same_texts_give_the_same_bytes(made: Path, counts: Path, short_text: Path, valid: Path, tmp_path: Path):
    folder = tmp_path / "again"
    gate(
        folder, [counts], copied_parts([counts], folder, CPU), encoded(short_text, counts), encoded(valid, counts), MEMORY,
        quiet,
    )  # fmt: skip
    assert (folder / WEIGHTS).read_bytes() == (made / WEIGHTS).read_bytes()


def test_what_was_exchanged_is_refused(made: Path, counts: Path, valid: Path, tmp_path: Path):
    other = tmp_path / "other"
    gate(other, [counts], copied_parts([counts], other, CPU), None, encoded(valid, counts), MEMORY, quiet)
    kept = (made / WEIGHTS).read_bytes()
    (made / WEIGHTS).write_bytes((other / WEIGHTS).read_bytes())
    with pytest.raises(InputError, match="another text left"):
        load_run(made, CPU)
    (made / WEIGHTS).write_bytes((made / "parts" / "1" / WEIGHTS).read_bytes())
    with pytest.raises(InputError, match="another mixture"):
        load_run(made, CPU)
    (made / WEIGHTS).write_bytes(kept[:-5])
    with pytest.raises(InputError, match="cut short"):
        load_run(made, CPU)
    (made / WEIGHTS).unlink()
    with pytest.raises(InputError, match="holds its gates"):
        load_run(made, CPU)


def test_a_text_is_not_learned_twice(counts: Path, short_text: Path, valid: Path, tmp_path: Path):
    runs = copied_parts([counts], tmp_path / "a", CPU)
    with pytest.raises(InputError, match="learned from this very text"):
        gate(tmp_path / "a", [counts], runs, None, encoded(short_text, counts), MEMORY, quiet)
    same = encoded(valid, counts)
    with pytest.raises(InputError, match="the same text"):
        gate(tmp_path / "a", [counts], runs, same, same, MEMORY, quiet)
    nothing = dataclasses.replace(same, ids=same.ids[:1])
    with pytest.raises(InputError, match="no token"):
        gate(tmp_path / "a", [counts], runs, nothing, None, MEMORY, quiet)


def test_letters_in_either_case_are_one_and_newlines_end_lines(counts: Path):
    vocabulary: Vocabulary = load_run(counts, torch.device("cpu")).vocabulary
    words_V, kinds_V = token_kinds(vocabulary)
    for index, spelled in enumerate(vocabulary.token_strings):
        text = spelled.decode(errors="replace")
        if text.strip(" ").isalpha():
            assert words_V[index] > 0
        if text in (" ", ".", ",", "\n", ""):
            assert words_V[index] == 0
        assert bool(kinds_V[index] & 1) == text.startswith(" ")
    assert kinds_V[vocabulary.newline_ids[-1]] & 2
    numbers = dict(zip(vocabulary.token_strings, words_V.tolist(), strict=True))
    assert all(numbers[one] == numbers[one.lower()] for one in numbers if one.isalpha() and one.lower() in numbers)


def test_every_token_that_ends_with_a_newline_ends_a_line():
    vocabulary = small_vocabulary("llama-3")
    _, kinds_V = token_kinds(vocabulary)
    assert [piece for piece in ("Ċ", "ĊĊ", ".Ċ", ".", "Ġ") if kinds_V[vocabulary.piece_id(piece)] & 2] == [
        "Ċ",
        "ĊĊ",
        ".Ċ",
    ]
