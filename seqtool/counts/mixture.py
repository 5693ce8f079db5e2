"""Linear mixtures: p(w | c) = sum over models m of weight_m p_m(w | c), and the weights that suit a text.

The weights are learned by expectation-maximisation (Dempster, Laird and Rubin 1977): a model's weight becomes the mean,
over the tokens of a text, of its share in what the mixture says of each. The text's probability rises with every round,
and as it is a concave function of the weights, towards the highest that there is.

Shapes: M models, T tokens.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]

ROUNDS = 1000
LEAST_NATS = 1e-9  # in nats per token, for which another round is made


def mixed_nats(nats_MT: Float64, weights_M: Float64) -> Float64:
    """-log p of each token by the mixture, (T,); infinite where all that have a weight say that it cannot be."""
    least_T = nats_MT.min(axis=0, initial=np.inf)
    shift_T = np.where(np.isfinite(least_T), least_T, 0.0)
    with np.errstate(divide="ignore"):
        nats_T: Float64 = shift_T - np.log(weights_M @ np.exp(shift_T - nats_MT))
    return nats_T


def fitted_weights(nats_MT: Float64) -> Float64:
    """The weights (M,), which sum to 1, of the mixture that gives a text the highest probability.

    Tokens that no model allows tell nothing of the weights.
    """
    models = len(nats_MT)
    weights_M = np.full(models, 1 / models)
    nats_MT = nats_MT[:, np.isfinite(nats_MT).any(axis=0)]
    if not nats_MT.shape[1]:
        return weights_M
    p_MT = np.exp(nats_MT.min(axis=0) - nats_MT)  # up to a factor of each token, which its shares do not have
    before = np.inf
    for _ in range(ROUNDS):
        share_MT = weights_M[:, None] * p_MT
        total_T = share_MT.sum(axis=0)
        loss = -float(np.log(total_T).mean())
        if before - loss < LEAST_NATS:
            break
        before = loss
        weights_M = (share_MT / total_T).mean(axis=1)
        weights_M /= weights_M.sum()
    return weights_M
