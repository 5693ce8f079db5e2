"""Beam search: the likeliest text, as far as keeping the K likeliest beginnings at each length finds it.

Shapes: K beams, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch

from seqtool.config import GenerateConfig
from seqtool.inference.constraint import Constraint
from seqtool.inference.generation import FOR_EVER, Sample, advance, allowed_tokens, check_constraint, most_tokens
from seqtool.models.stepping import Stepper


@dataclass
class _Beginning:
    tokens: list[int] = field(default_factory=list)
    token_nats: list[float] = field(default_factory=list)
    nats: float = 0.0
    state: int = 0


@torch.inference_mode()
def beam_search(
    stepper: Stepper,
    prompt: list[int],
    wanted: int,
    config: GenerateConfig,
    constraint: Constraint | None = None,
    stopped: Callable[[list[int]], bool] = lambda tokens: False,
    text_of: Callable[[list[int]], Hashable] = tuple,
) -> list[Sample]:
    """The best `wanted` continuations of a prompt, the best first: by log p / tokens^length_penalty (Wu et al. 2016,
    section 7, with the power of the length itself).

    `stopped` says whether tokens end with a stop string; texts that `text_of` says are the same count once, the
    likeliest spelling. The search ends when as many texts have ended as there are beams, or at --max-tokens.
    """
    check_constraint(constraint, config)
    width = max(config.beam, wanted)
    log_p_KV = stepper.begin([prompt])
    beams = [_Beginning(state=constraint.start if constraint else 0)]
    ended: dict[Hashable, tuple[float, Sample]] = {}

    def end(beginning: _Beginning, why: str) -> None:
        score = -beginning.nats / max(1, len(beginning.tokens)) ** config.length_penalty
        text = text_of(beginning.tokens)
        if text not in ended or ended[text][0] < score:
            one = Sample(prompt, tokens=beginning.tokens, token_nats=beginning.token_nats, finished=why)
            ended[text] = (score, one)

    for left in range(most_tokens(config), 0, -1):
        totals_KV = log_p_KV.double() - torch.tensor([[one.nats] for one in beams], device=log_p_KV.device)
        if constraint is not None:
            allowed_KV = allowed_tokens(constraint, [one.state for one in beams], left, stepper.begin_id)
            totals_KV = totals_KV.masked_fill(~allowed_KV.to(totals_KV.device), -torch.inf)
        totals, places = totals_KV.flatten().topk(min(2 * width, totals_KV.numel()))
        vocab_size = totals_KV.shape[1]
        grown: list[_Beginning] = []
        parents: list[int] = []
        for total, place in zip(totals.tolist(), places.tolist(), strict=True):
            parent, token = divmod(place, vocab_size)
            if total == -torch.inf or len(grown) == width or len(ended) >= width:
                break
            old = beams[parent]
            if token == stepper.begin_id:
                end(_Beginning(old.tokens, old.token_nats, -total), "end")
                continue
            new = _Beginning([*old.tokens, token], [*old.token_nats, -total - old.nats], -total)
            if constraint is not None:
                new.state = constraint.after(old.state, token)
                if not constraint.allowed(new.state, FOR_EVER).any():
                    end(new, "match")
                    continue
            if stopped(new.tokens):
                end(new, "stop")
                continue
            grown.append(new)
            parents.append(parent)
        beams = grown
        if not beams or len(ended) >= width or left == 1:
            break
        kept = torch.tensor(parents, device=log_p_KV.device)
        stepper.keep(kept)
        chosen_K = torch.tensor([one.tokens[-1] for one in beams], device=log_p_KV.device)
        log_p_KV = advance(stepper, [prompt + one.tokens for one in beams], chosen_K, log_p_KV[kept])
    if len(ended) < width:
        for one in beams:
            end(one, "length")
    best = sorted(ended.values(), key=lambda scored: -scored[0])[:wanted]
    return [one for _, one in best]
