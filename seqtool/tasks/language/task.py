"""The task of predicting the next token: a text's ids to batches, the cross-entropy, and its validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seqtool.embeddings.pretrained import initialise_embedding
from seqtool.errors import InputError
from seqtool.models.language_model import LanguageModel, build_model
from seqtool.models.net import Net
from seqtool.runs import RunConfig, write_config
from seqtool.tasks.language.batches import make_batches
from seqtool.tasks.language.data import TrainingData
from seqtool.tasks.language.gradient_by_lag import gradient_by_lag
from seqtool.tasks.language.objective import Objective
from seqtool.tasks.language.validation import held_out_loss
from seqtool.training.task import Batches, Stopped, Validation


@dataclass(frozen=True)
class LanguageTask:
    """A language model to be trained on a text; validated on up to `valid_tokens` of what is held back."""

    config: RunConfig
    data: TrainingData
    valid_tokens: int

    def __post_init__(self) -> None:
        if not len(self.data.valid_ids):
            raise InputError("no text is left for validation: give more text, or --valid FILE")

    def batches(self) -> Batches:
        """Mini-batches of the training ids as the settings want them."""
        return make_batches(self.data, self.config)

    def new_model(self) -> LanguageModel:
        """A new model, whose embedding begins with the data's vectors where there are any, and learns unless frozen."""
        model = build_model(self.config.model, self.config.symbols, self.data.seen_counts, self.config.training.seed)
        embedding = model.inputs.embedding
        if embedding is not None:
            if self.data.beginning is not None:
                initialise_embedding(embedding, self.data.beginning)
            embedding.requires_grad_(not self.config.training.freeze)
        return model

    def objective(self, model: Net) -> nn.Module:
        """The cross-entropy, and what regularises it."""
        assert isinstance(model, LanguageModel)
        return Objective(model, self.config.training)

    def example(self, rows: int, tokens: int, device: torch.device) -> tuple[Any, ...]:
        """Inputs and targets of so many rows and tokens, all of them one symbol that the training text has."""
        ids_BT = torch.full((rows, tokens), next(iter(self.data.seen_counts)), device=device)
        return ids_BT, ids_BT, tokens

    def validate(self, model: Net, stopped: Stopped | None) -> Validation | None:
        """The loss on validation tokens, each given those before."""
        assert isinstance(model, LanguageModel)
        tokens = min(self.valid_tokens, len(self.data.valid_ids))
        return held_out_loss(model, self.data.valid_ids, tokens, stopped)

    def probes(self, model: Net) -> dict[str, Any]:
        """How far back a loss reaches, for --probe-gradients."""
        assert isinstance(model, LanguageModel)
        lags = self.config.training.probe_gradients
        if not lags or "probe_gradients" not in self.config.model.architecture.settings:
            return {}
        return {"gradient_by_lag": gradient_by_lag(model, self.data.valid_ids, lags)}

    def write(self, folder: Path, config: RunConfig) -> None:
        """Write the vocabulary and the configuration into a run's directory."""
        write_config(folder, config, self.data.vocabulary)
