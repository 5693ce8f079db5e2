"""Gradients that vanish: how far back the loss of a recurrent model reaches.

Shapes: B batch, V vocabulary, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqtool.models.language_model import LanguageModel
from seqtool.models.loss import total_nats
from seqtool.models.state import map_state
from seqtool.scoring.scorer import Document

PROBE_ROWS = 16


def gradient_by_lag(model: LanguageModel, ids: Document, lags: int) -> list[float]:
    """The norm of d loss_t / d h_{t-k} for k = 1 .. lags, in nats per unit of h; empty when the text is too short.

    loss_t is the cost of the token that the state of time t predicts; h_{t-k} is the hidden state of all layers, of gdn
    their tables, as it was carried on from k tokens before. The mean of the norms is taken over up to PROBE_ROWS places
    in the text. What vanishes or explodes with k is what back-propagation through time can teach about tokens so far
    back (Pascanu, Mikolov & Bengio 2013, eq. 5).
    """
    size = lags + 2  # the tokens of times t - lags to t, and the one that is predicted
    rows = min(PROBE_ROWS, len(ids) // size)
    if not rows:
        return []
    starts = [row * (len(ids) - size) // max(1, rows - 1) for row in range(rows)]
    read_BT = torch.stack([torch.from_numpy(ids[start : start + size].astype("int64")) for start in starts])
    read_BT = read_BT.to(model.device)
    was_training = model.training
    model.eval()
    hidden: list[tuple[Tensor, ...]] = []  # of times t - lags to t - 1, the h of each layer
    state = None
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # cuDNN has no gradients outside training
        for place in range(lags + 1):
            logits_B1V, state = model(read_BT[:, place : place + 1], state)
            state = map_state(Tensor.clone, state)  # what is carried on, apart from what this token's output reads
            hidden.append(tuple(layer[0] for layer in state if layer[0].is_floating_point()))  # ids are no state
        gradients = torch.autograd.grad(
            total_nats(logits_B1V, read_BT[:, -1:]), [h_BH for layers in hidden[:-1] for h_BH in layers]
        )
    model.train(was_training)
    layers = len(hidden[0])
    by_place = [
        torch.cat([part.flatten(1) for part in gradients[place * layers : (place + 1) * layers]], dim=1)
        for place in range(lags)
    ]
    return [float(gradient_BH.norm(dim=1).mean()) for gradient_BH in reversed(by_place)]
