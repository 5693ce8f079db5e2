"""The language model's task as a training sees it: model, example, validation, probes and what is written."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtool.embeddings.pretrained import PretrainedRows
from seqtool.errors import InputError
from seqtool.runs.config import RunConfig, read_config, read_vocabulary
from seqtool.tasks.language.data import TrainingData
from seqtool.tasks.language.task import LanguageTask
from seqtool.training.task import Sums
from tests.training.trainer import CPU, Trainer

SMALL = {"model": "lstm", "hidden": 8}


@pytest.fixture
def given(trainer: Trainer) -> tuple[RunConfig, TrainingData]:
    config = trainer.config(SMALL, {"batch_size": 4, "bptt": 8})
    return config, TrainingData(trainer.vocabulary, trainer.ids, trainer.ids[1:], trainer.counts, {})


def with_training(config: RunConfig, **changes: Any) -> RunConfig:
    return dataclasses.replace(config, training=dataclasses.replace(config.training, **changes))


def test_without_validation_text_there_is_no_task(given: tuple[RunConfig, TrainingData]):
    config, data = given
    with pytest.raises(InputError, match="no text is left for validation"):
        LanguageTask(config, dataclasses.replace(data, valid_ids=data.valid_ids[:0]), 100)


def test_first_weights_come_from_the_seed_alone(given: tuple[RunConfig, TrainingData]):
    config, data = given
    first = LanguageTask(config, data, 100).new_model()
    torch.manual_seed(99)
    again, other = (
        LanguageTask(with_training(config, seed=seed), data, 100).new_model() for seed in (config.training.seed, 5)
    )
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.inputs.embedding.weight, other.inputs.embedding.weight)


@pytest.mark.parametrize("freeze", ["", "embedding"])
def test_the_embedding_begins_with_given_vectors_and_may_stay_so(given: tuple[RunConfig, TrainingData], freeze: str):
    config, data = given
    vectors = PretrainedRows(np.array([5, 3]), np.full((2, 8), 2.5, np.float32), {})
    task = LanguageTask(with_training(config, freeze=freeze), dataclasses.replace(data, beginning=vectors), 100)
    model = task.new_model()
    assert model.inputs.embedding.weight[[3, 5]].eq(2.5).all()
    assert not model.inputs.embedding.weight[4].eq(2.5).any()
    frozen = [name for name, weight in model.weights() if not weight.requires_grad]
    assert frozen == (["inputs.embedding.weight"] if freeze else [])


def test_a_batch_and_an_example_are_what_the_objective_takes(given: tuple[RunConfig, TrainingData]):
    task = LanguageTask(*given, 100)
    model = task.new_model()
    objective, batch = task.objective(model), task.batches().batch(0, slice(0, 4))
    for part, targets in ((batch.part(slice(0, 4), CPU), batch.targets), (task.example(3, 5, CPU), 15)):
        sums: Sums = objective(None, *part)
        assert targets == part[1].numel()
        assert 0 < float(sums.loss) < torch.inf
        sums.objective.backward()
    assert set(task.example(3, 5, CPU)[0].unique().tolist()) <= set(task.data.seen_counts)


def test_it_is_validated_on_no_more_than_was_asked(given: tuple[RunConfig, TrainingData]):
    config, data = given
    model = LanguageTask(config, data, 1).new_model().eval()
    for asked in (200, 1000, 10**6):
        validation = LanguageTask(config, data, asked).validate(model, None)
        assert validation is not None
        assert 0.9 * min(asked, len(data.valid_ids)) < validation.targets <= min(asked, len(data.valid_ids))
    assert LanguageTask(config, data, 200).validate(model, lambda: True) is None


@pytest.mark.parametrize(("settings", "lags"), [(SMALL, 3), (SMALL, 0), ({**SMALL, "model": "ffn"}, 3)])
def test_probes_are_of_what_carries_a_gradient_and_where_asked(
    trainer: Trainer, settings: dict[str, object], lags: int
):
    config = trainer.config(settings, {"probe_gradients": lags})
    task = LanguageTask(config, TrainingData(trainer.vocabulary, trainer.ids, trainer.ids[1:], trainer.counts, {}), 100)
    found = task.probes(task.new_model())
    if settings is not SMALL or not lags:
        assert found == {}
    else:
        assert len(found["gradient_by_lag"]) == lags
        assert all(norm > 0 for norm in found["gradient_by_lag"])


def test_what_is_written_is_read_again(given: tuple[RunConfig, TrainingData], tmp_path: Path):
    config, data = given
    changed = with_training(config, compile="off", lr=0.125)
    (folder := tmp_path / "folder").mkdir()
    LanguageTask(config, data, 100).write(folder, changed)
    assert read_config(folder).training == changed.training
    assert read_vocabulary(folder, changed).sha256 == data.vocabulary.sha256
    assert json.loads((folder / "config.json").read_text())["training"]["lr"] == 0.125
