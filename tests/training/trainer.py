"""Trains small models on a text by characters, as seqtool.training.session does, without the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtool.embeddings.pretrained import PretrainedRows
from seqtool.runs.config import RunConfig, new_config
from seqtool.runs.loading import load_run
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.language import task
from seqtool.tasks.language.data import TrainingData
from seqtool.tasks.language.task import LanguageTask
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.training import session
from seqtool.training.progress import Progress
from seqtool.training.world import alone

CPU = torch.device("cpu")
SMALL = {"model": "lstm", "hidden": 24, "dropout": 0.2}
SHORT = {"batch_size": 4, "bptt": 16, "steps": 40, "checkpoint_every": 1}


class Trainer:
    """Trains on a text by characters, in a directory."""

    def __init__(self, text: str, folder: Path) -> None:
        file = folder / "text.txt"
        file.write_text(text)
        self.folder = folder
        self.beginning: PretrainedRows | None = None
        self.vocabulary = learn_vocabulary(TextSource([str(file)]), VocabularyConfig(type="char"))
        self.ids = np.concatenate([[self.vocabulary.begin_id], self.vocabulary.encode(text)]).astype(np.uint16)

    def config(self, model: dict[str, Any], training: dict[str, Any]) -> RunConfig:
        self.counts = dict(zip(*(part.tolist() for part in np.unique(self.ids, return_counts=True)), strict=True))
        symbols = Symbols(self.vocabulary.size, self.vocabulary.begin_id, len(self.counts), len(self.ids))
        settings = {"lr": 1e-2, "early_stop": 0, "precision": "fp32", "compile": "off", **training}
        return new_config(ModelConfig(**model), TrainConfig(**settings), symbols, self.vocabulary, {})

    def __call__(self, name: str, model: dict[str, Any], training: dict[str, Any], **options: Any) -> Progress:
        self.records: list[dict[str, Any]] = []
        config = self.config(model, training)
        data = TrainingData(self.vocabulary, self.ids, self.ids[1:], self.counts, {}, beginning=self.beginning)
        settings = {"world": alone(CPU), "report": self.records.append, "replace": True, **options}
        return session.train_run(self.folder / name, LanguageTask(config, data, 10_000), **settings).progress


class Killed(BaseException):
    """What stands for a kill: nothing of ours runs after it."""


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next training dies when it asks for the batch of this step."""
    make = task.make_batches

    def make_mortal(data: TrainingData, config: RunConfig) -> Any:
        batches = make(data, config)
        read = batches.batch

        def batch(number: int, rows: slice) -> Any:
            if number == step:
                monkeypatch.undo()
                raise Killed
            return read(number, rows)

        batches.batch = batch
        return batches

    monkeypatch.setattr(task, "make_batches", make_mortal)


def weights(path: Path) -> dict[str, torch.Tensor]:
    """The kept weights of a run."""
    return dict(load_run(path, CPU).model.state_dict())
