"""Beam search: the likeliest text, as far as keeping the K likeliest beginnings at each length finds it.

Shapes: K beams, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqtool.generation.generating import Alternatives, Sample
from seqtool.generation.steering import Progress, Repetition, Steering, most_tokens
from seqtool.models.predictor import Stepper, advance
from seqtool.settings.generation import GenerateConfig


@dataclass
class _Beginning:
    """A text in the making; `score` is its log p and what the rules add to it."""

    tokens: list[int] = field(default_factory=list)
    token_nats: list[float] = field(default_factory=list)
    alternatives: list[Alternatives] = field(default_factory=list)
    score: float = 0.0
    text: Progress = field(default_factory=Progress)


@torch.inference_mode()
def beam_search(
    stepper: Stepper,
    prompt: Sample,
    wanted: int,
    config: GenerateConfig,
    steering: Steering | None = None,
    stopped: Callable[[list[int]], bool] = lambda tokens: False,
    text_of: Callable[[list[int]], Hashable] = tuple,
) -> list[Sample]:
    """The best `wanted` continuations of a prompt and the tokens that it has, the best first: by score /
    tokens^length_penalty, where the score is log p and what steering adds (Wu et al. 2016, section 7, with the power of
    the length itself).

    `stopped` says whether tokens end with a stop string; texts that `text_of` says are the same count once, the
    likeliest spelling. The search ends when as many texts have ended as there are beams, or at the most tokens.
    """
    steering = steering or Steering(config, stepper.begin_id)
    steering.check(prompt.seam)
    width = max(config.beam, wanted)
    begun = prompt.prompt + prompt.tokens
    log_p_KV = stepper.begin([begun])
    first = _Beginning(list(prompt.tokens), list(prompt.token_nats), list(prompt.alternatives))
    first.text = steering.begin(prompt.prompt, prompt.seam, prompt.tokens)
    beams = [first]
    repetition = None
    if config.repetition_penalty != 1:
        repetition = Repetition([begun], config.repetition_penalty, log_p_KV)
    ended: dict[Hashable, tuple[float, Sample]] = {}

    def end(one: _Beginning, why: str) -> None:
        score = one.score / max(1, len(one.tokens)) ** config.length_penalty
        text = text_of(one.tokens)
        if text not in ended or ended[text][0] < score:
            made = Sample(prompt.prompt, 0, prompt.prompt_text, prompt.seam, one.tokens, one.token_nats)
            made.alternatives, made.finished = one.alternatives, why
            ended[text] = (score, made)

    for left in range(most_tokens(config) - len(first.tokens), 0, -1):
        scores_KV = steering.scores(log_p_KV, [one.text for one in beams]).double()
        if repetition is not None:
            scores_KV = repetition.scores(scores_KV)
        totals_KV = scores_KV + torch.tensor([[one.score] for one in beams], device=log_p_KV.device)
        totals, places = totals_KV.flatten().topk(min(2 * width, totals_KV.numel()))
        log_p = log_p_KV.flatten()[places].tolist()
        alternatives = _alternatives(log_p_KV, config.alternatives)
        grown: list[_Beginning] = []
        parents: list[int] = []
        for total, place, token_log_p in zip(totals.tolist(), places.tolist(), log_p, strict=True):
            parent, token = divmod(place, log_p_KV.shape[1])
            if total == -torch.inf or len(grown) == width or len(ended) >= width:
                break
            old = beams[parent]
            if token == stepper.begin_id:
                end(_Beginning(old.tokens, old.token_nats, old.alternatives, total), "end")
                continue
            new = _Beginning([*old.tokens, token], [*old.token_nats, -token_log_p], score=total)
            new.alternatives = old.alternatives + alternatives[parent : parent + 1]
            new.text = steering.after(old.text, token)
            if steering.ended(new.text):
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
        if repetition is not None:
            repetition.keep(kept)
            repetition.add(chosen_K.unsqueeze(1))
        log_p_KV = advance(stepper, [prompt.prompt + one.tokens for one in beams], chosen_K, log_p_KV[kept])
    if len(ended) < width:
        for one in beams:
            end(one, "length")
    best = sorted(ended.values(), key=lambda scored: -scored[0])[:wanted]
    return [one for _, one in best]


def _alternatives(log_p_KV: Tensor, count: int) -> list[Alternatives]:
    """The likeliest tokens of each beam; empty where none are asked for."""
    if not count:
        return []
    log_p, ids = log_p_KV.topk(min(count, log_p_KV.shape[1]))
    return [list(zip(*row, strict=True)) for row in zip(ids.tolist(), log_p.tolist(), strict=True)]
