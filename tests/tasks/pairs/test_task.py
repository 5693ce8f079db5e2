"""The objective of pairs counts real tokens alone, and validation is their nats."""

from __future__ import annotations

import numpy as np
import torch

from seqtool.models.loss import IGNORE
from seqtool.settings.training import TrainConfig
from seqtool.tasks.examples.sets import ArrayExamples
from seqtool.tasks.pairs.nats import pair_nats
from seqtool.tasks.pairs.sets import PairSet
from seqtool.tasks.pairs.task import PairObjective
from tests.models.writers import BEGIN, SYMBOLS, writer

RANDOM = np.random.default_rng(0)
LENGTHS, OWN = np.array([4, 1, 7, 2]), np.array([2, 5, 1, 3])
SOURCE = ArrayExamples(
    np.zeros(4, np.int64),
    np.concatenate([[0], np.cumsum(LENGTHS)]),
    RANDOM.integers(2, SYMBOLS, (14, 1)),
    begin_id=BEGIN,
)
PAIRS = PairSet(SOURCE, np.concatenate([[0], np.cumsum(OWN)]), RANDOM.integers(2, SYMBOLS, 11), BEGIN)


def test_the_objective_is_the_sum_over_real_tokens_and_smoothing_adds_to_it():
    model, taken = writer("gru luong"), PAIRS.take(np.arange(4))
    plain = PairObjective(model, TrainConfig())(None, *taken)
    smooth = PairObjective(model, TrainConfig(label_smoothing=0.1))(None, *taken)
    nats = pair_nats(model, PAIRS, np.arange(4)).sum().float()
    torch.testing.assert_close(plain.objective, nats)
    torch.testing.assert_close(smooth.loss, plain.loss)
    logits = model(taken.x, taken.inputs_BT)[taken.targets_BT != IGNORE]
    right = torch.nn.functional.cross_entropy(
        logits, taken.targets_BT[taken.targets_BT != IGNORE], reduction="sum", label_smoothing=0.1
    )
    torch.testing.assert_close(smooth.objective, right)


def test_parts_of_a_batch_add_up():
    objective, taken = (
        PairObjective(writer("transformer rope"), TrainConfig(label_smoothing=0.1)),
        PAIRS.take(np.arange(4)),
    )
    parts = [objective(None, *taken.part(rows)).objective for rows in (slice(0, 1), slice(1, 4))]
    torch.testing.assert_close(sum(parts), objective(None, *taken).objective)
    nothing = taken._replace(targets_BT=torch.full_like(taken.targets_BT, IGNORE))
    alone = objective(None, *nothing)
    assert float(alone.objective.detach()) == 0
    alone.objective.backward()
