"""From logits to the next token: pure functions, the randomness given as a number between 0 and 1.

Shapes: B batch, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor


def next_token_probabilities(
    logits_BV: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, min_p: float = 0.0
) -> Tensor:
    """softmax(logits / temperature) with the unlikely tokens cut off and the rest rescaled to sum to 1; (B, V),
    float64.

    `top_k` keeps the K likeliest (0: all), `top_p` the fewest that hold this much probability (nucleus sampling,
    Holtzman et al. 2020), `min_p` those with at least this share of the likeliest one's. Temperature 0 is the
    likeliest token.
    """
    logits_BV = logits_BV.double()
    if temperature == 0:
        top_k = 1
    else:
        logits_BV = (logits_BV - logits_BV.amax(dim=-1, keepdim=True)) / temperature  # no overflow at the top
    probabilities_BV = logits_BV.softmax(dim=-1)
    ranked_BV, order_BV = probabilities_BV.sort(dim=-1, descending=True, stable=True)
    before_BV = ranked_BV.cumsum(dim=-1) - ranked_BV
    kept_BV = (before_BV < top_p) & (ranked_BV >= min_p * ranked_BV[:, :1])
    kept_BV[:, 0] = True
    if top_k:
        kept_BV[:, top_k:] = False
    ranked_BV = ranked_BV * kept_BV
    ranked_BV = ranked_BV / ranked_BV.sum(dim=-1, keepdim=True)
    return torch.zeros_like(ranked_BV).scatter(-1, order_BV, ranked_BV)


def sample(probabilities_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """The token at which the summed probabilities pass `uniform_B` (in [0, 1)); (B,). Never one of probability 0."""
    summed_BV = probabilities_BV.cumsum(dim=-1)
    wanted_B1 = (uniform_B * summed_BV[:, -1]).unsqueeze(-1)
    index_B = torch.searchsorted(summed_BV, wanted_B1, right=True).squeeze(-1)
    last_possible_B = probabilities_BV.shape[-1] - 1 - (probabilities_BV.flip(-1) > 0).int().argmax(dim=-1)
    return torch.minimum(index_B, last_possible_B)
