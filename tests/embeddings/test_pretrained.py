"""A model that starts from vectors: what matches, what the rest begins with, and what stays as it is when frozen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtool.embeddings.pretrained import PretrainedRows, initialise_embedding, match_pretrained, matched_rows
from seqtool.errors import InputError
from seqtool.settings.training import OPTIMIZER_NAMES
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, write_vectors
from tests.training.test_resume import MODELS, assert_the_same, settings
from tests.training.trainer import Killed, Trainer, killed_at, weights

EMBEDDING = "inputs.embedding.weight"


def vectors_of(tokens: list[str], kind: str = "word", width: int = 4) -> Vectors:
    rows = np.arange(1, len(tokens) * width + 1, dtype=np.float32).reshape(-1, width)
    return Vectors(TokenTable.of(tokens), rows, {"vocabulary_type": kind})


def vocabulary_of(text: str, folder: Path, **config: Any) -> Vocabulary:
    (folder / "text").write_text(text)
    return learn_vocabulary(TextSource([str(folder / "text")]), VocabularyConfig(**config))


def beginning_of(trainer: Trainer, width: int) -> PretrainedRows:
    """Vectors for every second symbol, among them numbers that adding zero would change."""
    rows = torch.randn(trainer.vocabulary.size // 2, width, generator=torch.Generator().manual_seed(5))
    rows[:, 0] = -0.0
    return PretrainedRows(np.arange(1, 2 * len(rows), 2), rows.numpy(), {})


def test_words_are_matched_exactly_and_pieces_as_the_words_they_are(tmp_path: Path):
    vocabulary = vocabulary_of("The the cat\n" * 9, tmp_path, type="word")
    found = matched_rows(vectors_of(["cat", "<eos>", "the", "at"]), vocabulary)
    assert {vocabulary.piece(index).removeprefix("\u2581"): row for index, row in found.items()} == {
        "cat": 0, "<eos>": 1, "the": 2,
    }  # fmt: skip
    vocabulary = vocabulary_of("the cat sat on the mat\n" * 9, tmp_path, type="bpe")
    tokens = ["the", "at", "cat", "\u2581cat", "a"]
    pieces = {index: vocabulary.piece(index) for index in range(vocabulary.size)}
    of_words = {pieces[index]: row for index, row in matched_rows(vectors_of(tokens), vocabulary).items()}
    assert of_words["\u2581the"] == 0
    assert of_words["at"] == 1
    assert of_words["\u2581cat"] == 3  # the piece itself comes first
    assert "\u2581" not in of_words
    of_pieces = {pieces[index]: row for index, row in matched_rows(vectors_of(tokens, "bpe"), vocabulary).items()}
    assert "\u2581the" not in of_pieces


def test_what_matches_is_counted_and_nothing_is_an_error(tmp_path: Path):
    vocabulary = vocabulary_of("a b b\n", tmp_path, type="word", min_count=1)
    vectors = vectors_of(["b", "z"])
    write_vectors(tmp_path / "v", vectors)
    counts = {index: 1 + (vocabulary.piece(index) == "\u2581b") for index in range(1, vocabulary.size)}
    record = match_pretrained(tmp_path / "v", vectors, vocabulary, counts).record
    assert [record[name] for name in ("symbols", "matched_symbols", "tokens", "matched_tokens")] == [4, 1, 5, 2]
    with pytest.raises(InputError, match="none of its tokens"):
        match_pretrained(tmp_path / "v", vectors_of(["x"]), vocabulary, counts)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2e19])
def test_only_vectors_that_match_must_be_finite(tmp_path: Path, bad: float):
    vocabulary = vocabulary_of("a b b\n", tmp_path, type="word", min_count=1)
    vectors = vectors_of(["b", "z"])
    write_vectors(tmp_path / "v", vectors)
    vectors.matrix_VD[1, 2] = bad
    match_pretrained(tmp_path / "v", vectors, vocabulary, {})
    vectors.matrix_VD[0, 2] = bad
    with pytest.raises(InputError, match=r"--embeddings .*v: a vector has a number that is not finite"):
        match_pretrained(tmp_path / "v", vectors, vocabulary, {})


def test_rows_without_a_vector_stay_random_at_the_size_of_the_others():
    embedding = torch.nn.Embedding(100, 8)
    before = embedding.weight.detach().clone()
    rows = 7 * torch.randn(40, 8)
    initialise_embedding(embedding, PretrainedRows(np.arange(0, 80, 2), rows.numpy(), {}))
    after = embedding.weight.detach()
    assert torch.equal(after[0:80:2], rows)
    others = torch.cat([after[1:80:2], after[80:]])
    torch.testing.assert_close(others.square().mean(), rows.square().mean())
    torch.testing.assert_close(
        torch.nn.functional.normalize(others), torch.nn.functional.normalize(torch.cat([before[1:80:2], before[80:]]))
    )


@pytest.mark.parametrize(("model", "training"), [
    *(({"model": "lstm"}, {"optimizer": name}) for name in OPTIMIZER_NAMES),
    ({"model": "lstm", "tied": True}, {"ema": 0.9}),
    ({"model": "gru"}, {"clip_agc": 0.01, "accumulate": 2, "weight_decay": 0.5}),
    ({"model": "ffn", "context": 3}, {}),
    ({"model": "transformer", "heads": 2, "context": 16}, {"optimizer": "muon", "stateful": False}),
])  # fmt: skip
def test_a_frozen_embedding_stays_bit_for_bit_and_another_learns(
    trainer: Trainer, model: dict[str, Any], training: dict[str, Any]
):
    trainer.beginning = beginning_of(trainer, 24)
    short = {
        "batch_size": 4,
        "bptt": 16,
        "steps": 8,
        "average_from": 0.2,
        "nonmonotone": 1,
        "eval_every": 2,
        **training,
    }
    for freeze in ("embedding", ""):
        trainer("run", {"hidden": 24, **model}, {**short, "freeze": freeze})
        kept = weights(trainer.folder / "run")
        rows = kept[EMBEDDING][torch.from_numpy(trainer.beginning.ids_M)].numpy()
        assert (rows.tobytes() == trainer.beginning.rows_MD.tobytes()) == bool(freeze)


def test_every_other_weight_learns_beside_a_frozen_embedding(trainer: Trainer):
    trainer.beginning = beginning_of(trainer, 24)
    for name, steps in (("short", 2), ("long", 9)):
        trainer(
            name,
            {"hidden": 24},
            {"batch_size": 4, "bptt": 16, "steps": steps, "freeze": "embedding", "eval_every": steps},
        )
    short, long = (weights(trainer.folder / name) for name in ("short", "long"))
    assert {name for name in short if torch.equal(short[name], long[name])} == {EMBEDDING, "head.seen_ids"}


@pytest.mark.parametrize("more", [{"ema": 0.9}, {"optimizer": "muon"}])
def test_a_frozen_training_is_resumed_without_the_vectors(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
):
    training = settings(str(more.pop("optimizer", "adamw")), True, freeze="embedding", **more)
    beginning = trainer.beginning = beginning_of(trainer, 24)
    model = {"hidden": 24, **MODELS["lstm"]}
    trainer("whole", model, training)
    killed_at(23, monkeypatch)
    with pytest.raises(Killed):
        trainer("parts", model, training)
    trainer.beginning = None
    trainer("parts", model, training, resume=True)
    assert_the_same(trainer, "whole", "parts")
    kept = weights(trainer.folder / "parts")[EMBEDDING]
    assert kept[torch.from_numpy(beginning.ids_M)].numpy().tobytes() == beginning.rows_MD.tobytes()


def test_the_vectors_and_their_scale_go_in_unchanged(trainer: Trainer):
    """A step with a rate of nearly 0 leaves the numbers where --embeddings put them."""
    trainer.beginning = beginning_of(trainer, 24)
    trainer("run", {"hidden": 24}, {"batch_size": 4, "bptt": 16, "steps": 1, "lr": 1e-12})
    kept = weights(trainer.folder / "run")[EMBEDDING][torch.from_numpy(trainer.beginning.ids_M)]
    torch.testing.assert_close(kept, torch.from_numpy(trainer.beginning.rows_MD))
