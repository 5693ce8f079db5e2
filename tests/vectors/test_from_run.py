"""The vectors of a model are the rows that it reads and scores with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqtool.models.language_model import build_model
from seqtool.runs.config import new_config
from seqtool.runs.loading import Run
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.vectors.from_run import vectors_of_run
from seqtool.vectors.vectors import read_vectors, write_vectors
from tests.zoo import ZOO


def run_of(kind: str, vocabulary_type: str, folder: Path) -> Run:
    """A new model on a vocabulary of which only every second symbol is seen."""
    text = folder / "text"
    text.write_text("one fish two fish red fish blue fish, naïve\n" * 9)
    vocabulary = learn_vocabulary(TextSource([str(text)]), VocabularyConfig(type=vocabulary_type))
    counts = {index: 1 + index for index in range(1, vocabulary.size, 2)}
    symbols = Symbols(vocabulary.size, vocabulary.begin_id, len(counts), 1000)
    model = ModelConfig(**{"hidden": 16, "context": 24, "heads": 2, **ZOO[kind]})  # type: ignore[arg-type]
    config = new_config(model, TrainConfig(), symbols, vocabulary, {"sha256": "12"})
    return Run(folder / "run", config, vocabulary, build_model(model, symbols, counts).eval())


@pytest.mark.parametrize("kind", ZOO)
def test_a_vector_is_what_the_model_makes_of_its_symbol(kind: str, tmp_path: Path):
    run = run_of(kind, "char", tmp_path)
    model, seen = run.model, run.model.head.seen_ids
    inputs, outputs = (torch.from_numpy(vectors_of_run(run, layer).matrix_VD) for layer in ("input", "output"))
    assert len(inputs) == len(outputs) == len(seen)
    if model.inputs.embedding is not None:
        assert torch.equal(inputs, model.inputs.embedding(seen))
    else:  # the product of the first weights with a one-hot vector
        first = model.core.layers[0]
        weight = first.weight if kind.startswith("ffn") else first.weights[0]
        places = weight.shape[1] // model.vocab_size
        one_hot = torch.nn.functional.one_hot(seen, model.vocab_size).float()
        by_place = [one_hot @ part.t() for part in weight.split(model.vocab_size, dim=1)]
        assert len(by_place) == places
        assert torch.equal(inputs, torch.cat(by_place, dim=1))
    if model.head.narrow is None:
        features = torch.randn(3, outputs.shape[1])
        logits = model.head(features.unsqueeze(1))[:, 0, seen]
        torch.testing.assert_close(logits, features @ outputs.t() + model.head.bias)


def test_the_file_has_tokens_vocabulary_and_what_made_it(tmp_path: Path):
    run = run_of("lstm", "word", tmp_path)
    write_vectors(tmp_path / "v", vectors_of_run(run, "input"))
    vectors = read_vectors(tmp_path / "v")
    pieces = [run.vocabulary.piece(index) for index in run.model.head.seen_ids.tolist()]
    assert list(vectors.tokens) == [piece.removeprefix("\u2581") for piece in pieces]
    assert vectors.model == run.vocabulary.model
    assert (vectors.metadata["method"], vectors.metadata["input_sha256"]) == ("run", "12")
    assert vectors.metadata["vocabulary_type"] == "word"
    assert vectors.metadata["settings"]["layer"] == "input"
