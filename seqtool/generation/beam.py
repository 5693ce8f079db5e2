"""Beam search: an approximate search for the likeliest text, which keeps the K likeliest beginnings of each length.

Shapes: K beams, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqtool.generation.generating import Alternatives, Sample
from seqtool.generation.steering import Repetition, Steering, Written, most_tokens
from seqtool.models.predictor import Stepper, advance
from seqtool.settings.generation import GenerateConfig


@dataclass
class _Beam:
    """The beginning of a text; `score` is its log p plus what steering adds to it, `parent` the row of the shorter
    beam that it continues.
    """

    tokens: list[int]
    token_nats: list[float]
    alternatives: list[Alternatives]
    written: Written = field(default_factory=Written)
    score: float = 0.0
    parent: int = 0


class _Candidate(NamedTuple):
    """One more token for the beam of row `parent`, and the score of that beam with it."""

    parent: int
    token: int
    log_p: float
    score: float


class _Ended:
    """The texts that have ended, each with its best score, score / tokens^length_penalty.

    A text that several sequences of tokens spell is there once, in its best spelling.
    """

    def __init__(self, prompt: Sample, length_penalty: float, text_of: Callable[[list[int]], Hashable]) -> None:
        self._prompt, self._length_penalty, self._text_of = prompt, length_penalty, text_of
        self._scored: dict[Hashable, tuple[float, Sample]] = {}

    def __len__(self) -> int:
        return len(self._scored)

    def add(self, beam: _Beam, why: str) -> None:
        """Add a text; `why` becomes the sample's `finished`."""
        score = beam.score / max(1, len(beam.tokens)) ** self._length_penalty
        text = self._text_of(beam.tokens)
        if text not in self._scored or self._scored[text][0] < score:
            prompt = self._prompt
            sample = Sample(prompt.prompt, 0, prompt.prompt_text, prompt.seam, beam.tokens, beam.token_nats)
            sample.alternatives, sample.finished = beam.alternatives, why
            self._scored[text] = (score, sample)

    def best(self, count: int) -> list[Sample]:
        """The `count` texts with the highest scores, the best first."""
        ranked = sorted(self._scored.values(), key=lambda scored: -scored[0])
        return [sample for _, sample in ranked[:count]]


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
    """The best `wanted` continuations of a prompt and its tokens, the best first, by score / tokens^length_penalty.

    The score is log p plus what steering adds (Wu et al. 2016, section 7, with the power of the length itself).
    `stopped` says whether tokens end with a stop string; sequences of tokens with the same `text_of` are one text. The
    search ends when as many texts have ended as there are beams, or at the most tokens that a text may have.
    UsageError when no text short enough matches the constraint.
    """
    steering = steering or Steering(config, stepper.begin_id)
    steering.check(prompt.seam)
    width = max(config.beam, wanted)
    begun = prompt.prompt + prompt.tokens
    log_p_KV = stepper.begin([begun])
    written = steering.begin(prompt.prompt, prompt.seam, prompt.tokens)
    beams = [_Beam(list(prompt.tokens), list(prompt.token_nats), list(prompt.alternatives), written)]
    repetition = None
    if config.repetition_penalty != 1:
        repetition = Repetition([begun], config.repetition_penalty, log_p_KV)
    ended = _Ended(prompt, config.length_penalty, text_of)

    for left in range(most_tokens(config) - len(prompt.tokens), 0, -1):
        candidates = _candidates(beams, log_p_KV, 2 * width, steering, repetition)
        alternatives = _alternatives(log_p_KV, config.alternatives)
        grown: list[_Beam] = []
        for candidate in candidates:
            if len(grown) == width or len(ended) >= width:
                break
            parent = beams[candidate.parent]
            if candidate.token == stepper.begin_id:
                ended.add(_Beam(parent.tokens, parent.token_nats, parent.alternatives, score=candidate.score), "end")
                continue
            beam = _grown(parent, candidate, alternatives, steering)
            if steering.ended(beam.written):
                ended.add(beam, "match")
            elif stopped(beam.tokens):
                ended.add(beam, "stop")
            else:
                grown.append(beam)
        beams = grown
        if not beams or len(ended) >= width or left == 1:
            break
        log_p_KV = _advance(stepper, prompt.prompt, beams, repetition, log_p_KV)

    if len(ended) < width:
        for beam in beams:
            ended.add(beam, "length")
    return ended.best(wanted)


@torch.inference_mode()
def beam_search_together(
    stepper: Stepper,
    prompts: Sequence[Sample],
    wanted: int,
    config: GenerateConfig,
    text_of: Callable[[list[int]], Hashable] = tuple,
) -> list[list[Sample]]:
    """What `beam_search` finds for each of several prompts without tokens, side by side, where nothing steers it."""
    width, most = max(config.beam, wanted), most_tokens(config)
    ended = [_Ended(prompt, config.length_penalty, text_of) for prompt in prompts]
    log_p_RV = stepper.begin([prompt.prompt for prompt in prompts])
    groups = list(range(len(prompts)))  # the prompts that are still searched for, W rows of the stepper each
    beams = [[_Beam([], [], [])] for _ in prompts]
    for left in range(most, 0, -1):
        grown_by_group: list[list[_Beam]] = []
        found = _candidates_of_each(beams, log_p_RV, 2 * width)
        for group, own, candidates in zip(groups, beams, found, strict=True):
            grown: list[_Beam] = []
            for candidate in candidates:
                if len(grown) == width or len(ended[group]) >= width:
                    break
                parent = own[candidate.parent]
                if candidate.token == stepper.begin_id:
                    ended[group].add(_Beam(parent.tokens, parent.token_nats, [], score=candidate.score), "end")
                    continue
                nats = [*parent.token_nats, -candidate.log_p]
                tokens = [*parent.tokens, candidate.token]
                grown.append(_Beam(tokens, nats, [], score=candidate.score, parent=candidate.parent))
            if left == 1 and len(ended[group]) < width:
                for beam in grown:
                    ended[group].add(beam, "length")
            grown_by_group.append([] if len(ended[group]) >= width or left == 1 else grown)
        starts = np.cumsum([0, *map(len, beams)]).tolist()
        kept = [start + beam.parent for start, grown in zip(starts, grown_by_group, strict=False) for beam in grown]
        groups = [group for group, grown in zip(groups, grown_by_group, strict=True) if grown]
        beams = [grown for grown in grown_by_group if grown]
        if not groups:
            break
        stepper.keep(torch.tensor(kept, device=log_p_RV.device))
        chosen = [beam.tokens[-1] for own in beams for beam in own]
        log_p_RV = stepper.step(torch.tensor(chosen, device=log_p_RV.device))
    return [one.best(wanted) for one in ended]


def _candidates_of_each(beams: Sequence[Sequence[_Beam]], log_p_RV: Tensor, count: int) -> list[list[_Candidate]]:
    """For each group of beams its `count` next tokens with the highest scores, the best first; a row is a beam."""
    log_p_RC, ids_RC = log_p_RV.topk(min(count, log_p_RV.shape[1]), dim=-1)
    scores_R1 = torch.tensor([[beam.score] for own in beams for beam in own], dtype=torch.float64)
    totals_RC = log_p_RC.cpu().double() + scores_R1
    rows = zip(log_p_RC.tolist(), ids_RC.tolist(), totals_RC.tolist(), strict=True)
    found = []
    for own in beams:
        candidates = [
            _Candidate(parent, token, log_p, total)
            for parent in range(len(own))
            for log_p, token, total in zip(*next(rows), strict=True)
            if total > -math.inf
        ]
        found.append(sorted(candidates, key=lambda candidate: -candidate.score)[:count])
    return found


def _candidates(
    beams: Sequence[_Beam], log_p_KV: Tensor, count: int, steering: Steering, repetition: Repetition | None
) -> list[_Candidate]:
    """Of the next tokens of all beams the `count` with the highest scores, the best first, without barred ones."""
    scores_KV = steering.scores(log_p_KV, [beam.written for beam in beams]).double()
    if repetition is not None:
        scores_KV = repetition.scores(scores_KV)
    totals_KV = scores_KV + torch.tensor([[beam.score] for beam in beams], device=log_p_KV.device)
    totals, places = totals_KV.flatten().topk(min(count, totals_KV.numel()))
    parents, tokens = (places // log_p_KV.shape[1]).tolist(), (places % log_p_KV.shape[1]).tolist()
    log_p = log_p_KV.flatten()[places].tolist()
    candidates = map(_Candidate, parents, tokens, log_p, totals.tolist())
    return [candidate for candidate in candidates if candidate.score > -torch.inf]


def _grown(parent: _Beam, candidate: _Candidate, alternatives: list[Alternatives], steering: Steering) -> _Beam:
    """The parent with one more token; `alternatives` are those of all beams, or empty."""
    return _Beam(
        [*parent.tokens, candidate.token],
        [*parent.token_nats, -candidate.log_p],
        parent.alternatives + alternatives[candidate.parent : candidate.parent + 1],
        steering.after(parent.written, candidate.token),
        candidate.score,
        candidate.parent,
    )


def _advance(
    stepper: Stepper, prompt: list[int], beams: Sequence[_Beam], repetition: Repetition | None, log_p_KV: Tensor
) -> Tensor:
    """log p (K, V) after the last token of each beam; `log_p_KV` is that before it, in the rows of the parents."""
    kept = torch.tensor([beam.parent for beam in beams], device=log_p_KV.device)
    stepper.keep(kept)
    chosen_K = torch.tensor([beam.tokens[-1] for beam in beams], device=log_p_KV.device)
    if repetition is not None:
        repetition.keep(kept)
        repetition.add(chosen_K.unsqueeze(1))
    return advance(stepper, [prompt + beam.tokens for beam in beams], chosen_K, log_p_KV[kept])


def _alternatives(log_p_KV: Tensor, count: int) -> list[Alternatives]:
    """The `count` likeliest tokens of each beam; empty where none are asked for."""
    if not count:
        return []
    log_p, ids = log_p_KV.topk(min(count, log_p_KV.shape[1]))
    return [list(zip(*row, strict=True)) for row in zip(ids.tolist(), log_p.tolist(), strict=True)]
