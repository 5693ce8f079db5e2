"""The task of writing a text for what is read: batches of pairs, the loss of the text's tokens, and validation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seqtool.errors import InputError
from seqtool.files.writing import atomic_writer
from seqtool.models.encoder_decoder import EncoderDecoder, build_encoder_decoder
from seqtool.models.example_model import ExampleInput
from seqtool.models.loss import IGNORE
from seqtool.models.net import Net
from seqtool.models.state import State
from seqtool.runs.config import TARGET_VOCABULARY, RunConfig, write_config
from seqtool.scoring.metrics.texts import bleu
from seqtool.settings.training import TrainConfig
from seqtool.settings.writing import WritingConfig
from seqtool.tasks.examples.prepared import Prepared
from seqtool.tasks.examples.sets import Rows
from seqtool.tasks.examples.task import first_rows
from seqtool.tasks.pairs.batches import PairBatches
from seqtool.tasks.pairs.nats import pair_nats
from seqtool.tasks.pairs.reading import Vocabularies
from seqtool.tasks.pairs.sets import PairSet
from seqtool.tasks.pairs.writing import Writer
from seqtool.tasks.starting import freeze
from seqtool.training.task import Batches, Stopped, Sums, Validation

VALID_TEXTS = 1000  # that are written for a BLEU
VALID_PAIRS = 20_000


class PairObjective(nn.Module):
    """A model with what it is trained on."""

    def __init__(self, model: EncoderDecoder, config: TrainConfig) -> None:
        super().__init__()
        self.model, self.config = model, config

    def forward(self, state: State | None, x: ExampleInput, inputs_BT: Tensor, targets_BT: Tensor) -> Sums:
        """The objective and the nats, both summed over the texts' tokens, and no state."""
        features_BTO, _ = self.model.features(inputs_BT, self.model.read(x), None)
        told_BT = targets_BT != IGNORE
        features_NO, targets_N = features_BTO[told_BT], targets_BT[told_BT]
        nats = self.model.total_nats(features_NO, targets_N)
        objective = nats
        if self.config.label_smoothing:
            objective = nats + self.config.label_smoothing * self.model.smoothing_nats(features_NO, targets_N)
        return Sums(objective, nats.detach(), ())


@dataclass(frozen=True)
class PairTask:
    """A model to be trained on pairs, validated on what is held back."""

    config: RunConfig
    data: Prepared

    def __post_init__(self) -> None:
        if not len(self.data.valid):
            raise InputError("no pair is left for validation: give more, or --valid SOURCE,TARGET")

    @property
    def _pairs(self) -> tuple[PairSet, PairSet]:
        train, valid = self.data.train, self.data.valid
        assert isinstance(train, PairSet)
        assert isinstance(valid, PairSet)
        return train, valid

    def batches(self) -> Batches:
        """Mini-batches of the training pairs."""
        return PairBatches(self._pairs[0], self.config.training)

    def new_model(self) -> Net:
        """A model with its first weights."""
        assert self.config.shape is not None
        model = build_encoder_decoder(self.config.model, self.config.shape, self.config.training.seed)
        if self.data.start is not None:
            self.data.start.put_into(model)
        freeze(model, self.config)
        return model

    def objective(self, model: Net) -> nn.Module:
        """The loss, and what regularises it."""
        assert isinstance(model, EncoderDecoder)
        return PairObjective(model, self.config.training)

    def example(self, rows: int, targets: int, device: torch.device) -> tuple[Any, ...]:
        """So many of the training pairs."""
        return tuple(self._pairs[0].take(np.arange(rows) % len(self._pairs[0])).to(device))

    def validate(self, model: Net, stopped: Stopped | None) -> Validation | None:
        """The nats of the texts that are held back."""
        assert isinstance(model, EncoderDecoder)
        valid = self._pairs[1]
        rows = first_rows(len(valid), VALID_PAIRS)
        nats_N = pair_nats(model, valid, rows, stopped)
        if nats_N is None:
            return None
        score = None
        if self.config.training.best_by == "bleu":
            score = self._bleu(model, valid, first_rows(len(valid), VALID_TEXTS))
        return Validation(float(nats_N.sum()), valid.targets_in(rows), score)

    def _bleu(self, model: EncoderDecoder, valid: PairSet, rows: Rows) -> float:
        """The BLEU of greedy texts for some of what is held back, 0 to 1."""
        data = self.data
        target = data.target_vocabulary or data.vocabulary
        assert target is not None
        writer = Writer(model, Vocabularies(data.vocabulary, target), int(data.task["longest"]), WritingConfig())
        taken = valid.take(rows)
        right = [[target.decode(own[own != IGNORE][:-1].tolist())] for own in taken.targets_BT]
        with torch.autocast(model.device.type, enabled=False):
            told = writer.write(taken.x, [(row,) for row in rows.tolist()], [""] * len(rows))
        return bleu([one.text for (one,) in told], right) / 100

    def probes(self, model: Net) -> dict[str, Any]:
        """Nothing."""
        return {}

    def write(self, folder: Path, config: RunConfig) -> None:
        """Write the vocabularies and the configuration into a run's directory."""
        write_config(folder, config, self.data.vocabulary)
        if self.data.target_vocabulary is not None:
            with atomic_writer(folder / TARGET_VOCABULARY) as stream:
                stream.write(self.data.target_vocabulary.model)
