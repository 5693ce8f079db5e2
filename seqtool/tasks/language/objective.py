"""What training minimises: the cross-entropy, and what regularises it, as sums over the tokens of a batch.

Shapes: B batch, T time, V vocabulary, S symbols that are learned, H features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seqtool.models.language_model import LanguageModel, Reading
from seqtool.models.loss import IGNORE
from seqtool.models.state import State
from seqtool.settings.training import TrainConfig
from seqtool.training.task import Sums


class Objective(nn.Module):
    """A model with what it is trained on: the whole of a step's forward pass in one module.

    The loss is taken among the S seen symbols. What the unseen ones share is a constant of each token (`unseen_nats`),
    without a gradient.
    """

    places_V: Tensor

    def __init__(self, model: LanguageModel, config: TrainConfig) -> None:
        super().__init__()
        self.model, self.config = model, config
        self.register_buffer("places_V", model.head.places(), persistent=False)

    def forward(self, state: State | None, inputs_BT: Tensor, targets_BT: Tensor, advance: int) -> Sums:
        """The objective and the nats, both summed over the targets, and the state after `advance` tokens."""
        if advance < inputs_BT.shape[1]:
            first = self.model.read(inputs_BT[:, :advance], state)
            rest = self.model.read(inputs_BT[:, advance:], first.state)
            reading = Reading(
                torch.cat([first.features_BTH, rest.features_BTH], dim=1),
                torch.cat([first.dropped_BTH, rest.dropped_BTH], dim=1),
                first.state,
            )
        else:
            reading = self.model.read(inputs_BT, state)
        head = self.model.head
        if head.unseen_nats:
            targets_BT = self.places_V[targets_BT]
        logits_BTS = None
        if self.config.label_smoothing or self.config.z_loss:
            logits_BTS = head.seen_logits(reading.dropped_BTH)
        nats = head.total_nats(reading.dropped_BTH, logits_BTS, targets_BT)
        penalty = self._penalty(reading, logits_BTS, targets_BT)
        return Sums(nats if penalty is None else nats + penalty, nats.detach(), reading.state)

    def _penalty(self, reading: Reading, logits_BTS: Tensor | None, targets_BT: Tensor) -> Tensor | None:
        config = self.config
        scored_BT = targets_BT != IGNORE
        parts = []
        if logits_BTS is not None:
            parts.append(softmax_penalty(logits_BTS.float(), targets_BT, config))
        if config.ar:
            parts.append(config.ar * activation_penalty(reading.dropped_BTH, scored_BT))
        if config.tar:
            parts.append(config.tar * change_penalty(reading.features_BTH, scored_BT))
        return torch.stack(parts).sum() if parts else None


def softmax_penalty(logits_BTS: Tensor, targets_BT: Tensor, config: TrainConfig) -> Tensor:
    """What label smoothing and z-loss add to the nats, a sum over targets.

    With Z the softmax's denominator over the S symbols and e the smoothing: e (mean_s -log p_s + log p_target)
    (Szegedy et al. 2016, section 7), and z_loss (log Z)^2 (Chowdhery et al. 2023, section 5).
    """
    scored_BT = targets_BT != IGNORE
    log_Z_BT = logits_BTS.logsumexp(dim=-1)
    added_BT = config.z_loss * log_Z_BT.square()
    if config.label_smoothing:
        target_BT = logits_BTS.gather(-1, targets_BT.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        added_BT = added_BT + config.label_smoothing * (target_BT - logits_BTS.mean(dim=-1))
    return added_BT.masked_fill(~scored_BT, 0.0).sum()


def activation_penalty(dropped_BTH: Tensor, scored_BT: Tensor) -> Tensor:
    """AR: the mean square of the features the output reads, summed over targets (Merity et al. 2017, section 4)."""
    return dropped_BTH.float().square().mean(dim=-1).masked_fill(~scored_BT, 0.0).sum()


def change_penalty(features_BTH: Tensor, scored_BT: Tensor) -> Tensor:
    """TAR: the mean square of h_t - h_{t-1} within the batch, summed over targets (Merity et al. 2017, section 4)."""
    change_BTH = features_BTH[:, 1:].float() - features_BTH[:, :-1].float()
    return change_BTH.square().mean(dim=-1).masked_fill(~scored_BT[:, 1:], 0.0).sum()
