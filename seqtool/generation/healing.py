"""Healing: where a prompt ends inside a token, the first token written may begin inside the prompt.

The end of a prompt cuts tokens that a whole text would have: a model that has always read ` remember` as one token has
hardly ever seen ` rem`, `em`, and after a lone space it expects no word. So the last tokens of the prompt are taken
back, as many as a single longer token could begin with. Then one of all endings that agree with the prompt is drawn by
its probability: some of the tokens taken back, and one that goes on from there past the end of the prompt; or all of
the tokens taken back, which is the prompt as it was given.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqtool.generation.sampling import choose
from seqtool.generation.steering import Steering
from seqtool.models.predictor import Stepper, advance
from seqtool.settings.generation import GenerateConfig
from seqtool.text.decoding import Seam

if TYPE_CHECKING:
    from seqtool.generation.generating import Alternatives, Sample


class Ending(NamedTuple):
    """A token that begins inside a prompt, after the first `kept` of its tokens, and goes on past its end."""

    kept: int
    token: int
    skip: int
    """How many bytes of the token belong to the prompt."""
    log_p: float
    """Of the token, by the model."""


@dataclass
class _Prompt:
    """A prompt, of which the first `kept` tokens are not taken back, and its possible endings."""

    ids: tuple[int, ...]
    seam: Seam
    kept: int
    endings: list[Ending] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    """Of each ending: log p of all its tokens after the first `kept` of the prompt, plus what the rules add."""
    alternatives: dict[int, Alternatives] = field(default_factory=dict)
    """By a number of the prompt's tokens, the likeliest tokens after them."""
    log_p: float = 0.0
    """Of those tokens taken back that have been read."""


class Healing:
    """Heals the ends of prompts. `rows` are the bytes of each id; b"" for one that is in no text."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._rows = list(rows)
        self._ids = sorted((index for index, row in enumerate(rows) if row), key=lambda index: rows[index])
        self._sorted = [rows[index] for index in self._ids]
        self._longest = max(map(len, rows))

    @property
    def possible(self) -> bool:
        """Whether a prompt can end inside a token: some token has two characters or more."""
        return any(len(row.decode(errors="ignore")) > 1 for row in self._sorted)

    def longer(self, beginning: bytes) -> list[int]:
        """The tokens that begin with these bytes and have more."""
        first = bisect.bisect_right(self._sorted, beginning)
        return self._ids[first : bisect.bisect_left(self._sorted, beginning + b"\xff", lo=first)]

    def taken_back(self, prompt: Sequence[int]) -> int:
        """How many last tokens of a prompt are taken back: so many that a longer token begins with their bytes."""
        ending, count = b"", 0
        for back in range(1, len(prompt) + 1):
            row = self._rows[prompt[-back]]
            ending = row + ending
            if not row or len(ending) >= self._longest:
                break
            if self.longer(ending):
                count = back
        return count

    @torch.inference_mode()
    def heal(
        self,
        stepper: Stepper,
        samples: Sequence[Sample],
        generators: Sequence[np.random.Generator],
        config: GenerateConfig,
        steering: Steering,
    ) -> None:
        """Choose how each sample's prompt ends, and give the sample its first token if that begins inside the prompt.

        The ending is drawn by the sample's generator, or is the likeliest if there are no generators.
        """
        seams = {tuple(one.prompt): one.seam for one in samples}
        counts = {ids: self.taken_back(ids) for ids in seams}
        prompts = [_Prompt(ids, seam, len(ids) - counts[ids]) for ids, seam in seams.items() if counts[ids]]
        if prompts:
            self._read(stepper, prompts, config, steering)
        found = {prompt.ids: prompt for prompt in prompts if prompt.endings}
        for row, one in enumerate(samples):
            if prompt := found.get(tuple(one.prompt)):
                _apply(one, prompt, _chosen(prompt, generators[row] if generators else None, config))

    def _read(self, stepper: Stepper, prompts: list[_Prompt], config: GenerateConfig, steering: Steering) -> None:
        """Read the prompts up to the tokens taken back, then these one by one, and find the endings after each."""
        log_p_BV = stepper.begin([prompt.ids[: prompt.kept] for prompt in prompts])
        for step in range(max(len(prompt.ids) - prompt.kept for prompt in prompts)):
            if step:
                read = [prompt.ids[: prompt.kept + step] for prompt in prompts]
                newest_B = torch.tensor([ids[-1] for ids in read], device=log_p_BV.device)
                log_p_BV = advance(stepper, read, newest_B, log_p_BV)
            for prompt, log_p_V in zip(prompts, log_p_BV.cpu(), strict=True):
                if prompt.kept + step < len(prompt.ids):
                    self._add_endings(prompt, prompt.kept + step, log_p_V, config, steering)

    def _add_endings(
        self, prompt: _Prompt, kept: int, log_p_V: Tensor, config: GenerateConfig, steering: Steering
    ) -> None:
        """Add the endings after the first `kept` tokens of a prompt."""
        rest = b"".join(self._rows[token] for token in prompt.ids[kept:])
        tokens = self.longer(rest)
        text = steering.begin(prompt.ids[:kept], prompt.seam)
        for token, log_p in zip(tokens, log_p_V[tokens].tolist(), strict=True):
            added = steering.first_score(text, token, len(rest))
            if added > -math.inf:
                prompt.endings.append(Ending(kept, token, len(rest), log_p))
                prompt.scores.append(prompt.log_p + log_p + added)
        if config.alternatives:
            likeliest = log_p_V.topk(min(config.alternatives, len(log_p_V)))
            prompt.alternatives[kept] = list(zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True))
        prompt.log_p += float(log_p_V[prompt.ids[kept]])


def _chosen(prompt: _Prompt, generator: np.random.Generator | None, config: GenerateConfig) -> Ending | None:
    """The ending that is chosen for a prompt; None for the prompt as it was given."""
    scores_1E = torch.tensor([[*prompt.scores, prompt.log_p]], dtype=torch.float64)
    uniform_1 = None if generator is None else torch.tensor([generator.random()], dtype=torch.float64)
    choice = choose(scores_1E, config, uniform_1)
    return [*prompt.endings, None][int(choice)]


def _apply(one: Sample, prompt: _Prompt, ending: Ending | None) -> None:
    """Cut the sample's prompt where the ending begins, and make that its first token."""
    if ending is not None:
        one.prompt = one.prompt[: ending.kept]
        one.seam = one.seam._replace(skip=ending.skip)
        one.tokens, one.token_nats = [ending.token], [-ending.log_p]
        one.alternatives = [prompt.alternatives[ending.kept]] if prompt.alternatives else []
