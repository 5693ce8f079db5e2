"""The one definition of the loss: a sum in nats and a count of tokens. Sum, then divide.

Shapes: B batch, T time, V vocabulary.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

IGNORE = -1
"""A target that is not scored: padding, and what follows the end of a document."""


def token_nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """-log p(target), in nats and float32, of each target; 0 where it is IGNORE. Cross-entropy of softmax(logits)."""
    nats = F.cross_entropy(
        logits_BTV.float().flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORE, reduction="none"
    )
    return nats.view_as(targets_BT)


def total_nats(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """The sum of `token_nats`, a scalar tensor."""
    return F.cross_entropy(logits_BTV.float().flatten(0, 1), targets_BT.flatten(), ignore_index=IGNORE, reduction="sum")
