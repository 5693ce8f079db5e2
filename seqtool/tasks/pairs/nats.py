"""The nats of texts, given what is read: few enough at a time that the logits of their tokens fit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.models.example_model import ExampleInput
from seqtool.models.loss import token_nats
from seqtool.tasks.examples.sets import ArrayExamples, Rows, by_length
from seqtool.tasks.pairs.sets import PairSet
from seqtool.training.task import Stopped

SCORED_PAIRS, SCORED_TOKENS = 128, 1 << 13


@torch.no_grad()
def pair_nats(model: EncoderDecoder, pairs: PairSet, rows: Rows, stopped: Stopped | None = None) -> Tensor | None:
    """The nats of the text of some pairs, each with the symbol that ends it, (N,), in the order of `rows`.

    None when `stopped` said yes on the way.
    """
    nats_N = torch.zeros(len(rows), dtype=torch.float64)
    for batch in by_length(pairs.lengths_N[rows], SCORED_PAIRS, SCORED_TOKENS):
        if stopped is not None and stopped():
            return None
        taken = pairs.take(rows[batch]).to(model.device)
        nats_BT = token_nats(model(taken.x, taken.inputs_BT), taken.targets_BT)
        nats_N[torch.from_numpy(batch)] = nats_BT.double().sum(1).cpu()
    return nats_N


def arrays_of(x: ExampleInput) -> ArrayExamples:
    """Examples that were taken, as arrays again."""
    numbers, categories = (None if part is None else part.numpy() for part in (x.numbers_BN, x.categories_BC))
    empty = np.zeros(len(x.lengths_B), np.int64)
    if x.ids_BTK is None:
        return ArrayExamples(empty, numbers_ND=numbers, categories_NC=categories)
    starts = np.concatenate([[0], np.cumsum(x.lengths_B.numpy())])
    inside_BT = torch.arange(x.ids_BTK.shape[1]) < x.lengths_B[:, None]
    return ArrayExamples(empty, starts, x.ids_BTK[inside_BT].numpy(), numbers, categories)
