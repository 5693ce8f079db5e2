"""The task of predicting the next token: a text's ids to batches, the cross-entropy, and its validation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seqtool.embeddings.pretrained import initialise_embedding
from seqtool.errors import InputError
from seqtool.models.language_model import LanguageModel, build_model, evaluating
from seqtool.models.net import Net
from seqtool.runs.config import RunConfig, write_config
from seqtool.tasks.language.batches import make_batches
from seqtool.tasks.language.data import TrainingData
from seqtool.tasks.language.gradient_by_lag import gradient_by_lag
from seqtool.tasks.language.objective import Objective
from seqtool.tasks.language.validation import held_out_loss
from seqtool.tasks.starting import Start, freeze
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
        """A new model, whose embedding begins with the data's vectors where there are any."""
        model = build_model(self.config.model, self.config.symbols, self.data.seen_counts, self.config.training.seed)
        embedding = model.inputs.embedding
        if embedding is not None and self.data.beginning is not None:
            initialise_embedding(embedding, self.data.beginning)
        if self.data.start is not None:
            self.data.start.put_into(model)
            _put_rows(model, self.data.start)
            _put_head(model, self.data.start.tensors)
        freeze(model, self.config)
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
        """How far back a loss reaches, for --probe-gradients, and the loss on the text of --watch."""
        assert isinstance(model, LanguageModel)
        found: dict[str, Any] = {}
        lags = self.config.training.probe_gradients
        if lags and "probe_gradients" in self.config.model.architecture.settings:
            found["gradient_by_lag"] = gradient_by_lag(model, self.data.valid_ids, lags)
        if (ids := self.data.watched_ids) is not None:
            with evaluating(model), torch.no_grad():
                watched = held_out_loss(model, ids, min(self.valid_tokens, len(ids)))
            assert watched is not None
            found["watched_loss"] = watched.loss
        return found

    def write(self, folder: Path, config: RunConfig) -> None:
        """Write the vocabulary and the configuration into a run's directory."""
        write_config(folder, config, self.data.vocabulary)


@torch.no_grad()
def _put_rows(model: LanguageModel, start: Start) -> None:
    """Of a vocabulary that has grown, set the tables' old rows; a new row is the mean of what stood for its token."""
    for name, weight in model.inputs.named_parameters():
        if start.spelled:
            known_VE = start.tensors[f"inputs.{name}"]
            new_NE = torch.stack([known_VE[list(ids)].mean(0) for ids in start.spelled.values()])
            weight[:] = torch.cat([known_VE, new_NE])


@torch.no_grad()
def _put_head(model: LanguageModel, tensors: Mapping[str, Tensor]) -> None:
    """Set what the output has learned of each symbol; one that it did not know begins as a rare one."""
    place = {index: number for number, index in enumerate(model.head.seen_ids.tolist())}
    rows = torch.tensor([place[index] for index in tensors["head.seen_ids"].tolist()])
    if model.head.output is not None:
        known_SH = tensors["head.output.weight"]
        model.head.output.weight[:] = known_SH.mean(0)
        model.head.output.weight[rows] = known_SH
    if model.head.bias is not None:
        model.head.bias[:] = tensors["head.bias"].min()
        model.head.bias[rows] = tensors["head.bias"]
