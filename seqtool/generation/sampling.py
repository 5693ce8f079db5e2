"""From log p of every token to the next token: pure functions, with random numbers between 0 and 1 as arguments.

Shapes: B samples, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqtool.settings.generation import GenerateConfig

COLDEST = 1e-200  # a lower temperature would overflow float64
BELOW_ONE = 1 - 2**-32  # below the sum of the probabilities, which is 1 but for rounding


def choose(scores_BV: Tensor, config: GenerateConfig, uniform_B: Tensor | None) -> Tensor:
    """The next tokens, (B,): drawn by `uniform_B` under the settings, or without it the likeliest."""
    if uniform_B is None:
        return scores_BV.argmax(dim=-1)
    p_BV = next_token_probabilities(
        scores_BV,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        min_p=config.min_p,
        typical=config.typical,
    )
    return sample(p_BV, uniform_B)


def next_token_probabilities(
    logits_BV: Tensor,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    min_p: float = 0.0,
    typical: float = 1.0,
) -> Tensor:
    """softmax(logits / temperature) with the unlikely tokens cut off and the rest rescaled to sum to 1; (B, V),
    float64.

    `top_k` keeps the K likeliest (0: all), `top_p` the fewest that hold this much probability (nucleus sampling,
    Holtzman et al. 2020), `min_p` those with at least this share of the likeliest one's (Nguyen et al. 2024),
    `typical` those whose -log p is nearest to the entropy, as many as hold this much probability (Meister et al. 2023,
    eq. 10). Each judges the whole distribution; a token is kept if all keep it. Temperature 0 keeps the likeliest.
    """
    if temperature == 0:
        top_k = 1
    p_BV = (logits_BV.double() / max(temperature, COLDEST)).softmax(dim=-1)
    kept_BV = None
    if 0 < top_k < p_BV.shape[-1]:
        kept_BV = torch.zeros_like(p_BV, dtype=torch.bool).scatter_(-1, p_BV.topk(top_k).indices, True)
    if top_p < 1:
        kept_BV = _both(kept_BV, _first_that_hold(top_p, p_BV, p_BV))
    if min_p > 0:
        kept_BV = _both(kept_BV, p_BV >= min_p * p_BV.amax(dim=-1, keepdim=True))
    if typical < 1:
        log_p_BV = p_BV.log().clamp_min(-1e30)
        entropy_B1 = -(p_BV * log_p_BV).sum(dim=-1, keepdim=True)
        kept_BV = _both(kept_BV, _first_that_hold(typical, p_BV, -(entropy_B1 + log_p_BV).abs()))
    if kept_BV is None:
        return p_BV
    if typical < 1:  # the others always keep the likeliest token; this may not, and then all may be cut
        none_B1 = ~kept_BV.any(dim=-1, keepdim=True)
        kept_BV = kept_BV | (none_B1 & (p_BV >= p_BV.amax(dim=-1, keepdim=True)))
    p_BV = p_BV * kept_BV
    return p_BV / p_BV.sum(dim=-1, keepdim=True)


def _both(kept_BV: Tensor | None, also_BV: Tensor) -> Tensor:
    return also_BV if kept_BV is None else kept_BV & also_BV


def _first_that_hold(mass: float, p_BV: Tensor, rank_BV: Tensor) -> Tensor:
    """Whether a token is among the fewest of highest rank that hold this much probability, at least one; (B, V)."""
    order_BV = rank_BV.sort(dim=-1, descending=True, stable=True).indices
    ranked_BV = p_BV.gather(-1, order_BV)
    kept_BV = ranked_BV.cumsum(dim=-1) - ranked_BV < mass
    kept_BV[:, 0] = True
    return torch.zeros_like(kept_BV).scatter_(-1, order_BV, kept_BV)


def sample(probabilities_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """The token at which the cumulative probability passes `uniform_B` (float64, in [0, 1)); (B,).

    A token of probability 0 is never drawn.
    """
    wanted_B1 = uniform_B.clamp_max(BELOW_ONE).unsqueeze(-1)
    return torch.searchsorted(probabilities_BV.cumsum(dim=-1), wanted_B1, right=True).squeeze(-1)
