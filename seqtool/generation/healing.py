"""Prompts that end inside a token: the first token that is written may begin inside the prompt.

The last tokens of a prompt are split where the prompt ends, not where a text would be: a model that has always read
` remember` as one token has hardly seen ` rem`, `em`, and after a space that stands alone it expects no word. So the
last tokens are given back, as many as one token could begin with and go on. What comes then is drawn from all that
agrees with the prompt: some of the tokens given back, and one that goes on from there beyond the prompt's end; or all
of them, which is the prompt as it stood. Each is weighed by its probability.
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
    """A token that goes on inside a prompt, after the first `kept` of its tokens."""

    kept: int
    token: int
    skip: int
    """So many bytes of the token are the prompt's."""
    log_p: float
    """The model's, of the token."""


@dataclass
class _Prompt:
    """A prompt that is read up to the tokens given back, and how it may end."""

    ids: tuple[int, ...]
    seam: Seam
    kept: int
    endings: list[Ending] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    """Of each ending: log p of what it has in place of the tokens given back, and what the rules add."""
    alternatives: dict[int, Alternatives] = field(default_factory=dict)
    """The likeliest tokens after so many of the prompt's."""
    log_p: float = 0.0
    """Of the tokens given back that have been read."""


class Healing:
    """Finds the tokens that go on from a beginning. `rows` are the bytes of each id; b"" is no part of a text."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self._rows = list(rows)
        self._ids = sorted((index for index, row in enumerate(rows) if row), key=lambda index: rows[index])
        self._sorted = [rows[index] for index in self._ids]
        self._longest = max(map(len, rows))

    @property
    def possible(self) -> bool:
        """Whether a token goes on where a prompt could end: one that holds two characters or more."""
        return any(len(row.decode(errors="ignore")) > 1 for row in self._sorted)

    def longer(self, beginning: bytes) -> list[int]:
        """The tokens that begin so and go on."""
        first = bisect.bisect_right(self._sorted, beginning)
        return self._ids[first : bisect.bisect_left(self._sorted, beginning + b"\xff", lo=first)]

    def given_back(self, prompt: Sequence[int]) -> int:
        """How many of the last tokens of a prompt one token could begin with and go on."""
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
        """Give each sample its first token, where one is chosen that begins inside its prompt: drawn by the sample's
        generator, or the likeliest where there are none.
        """
        seams = {tuple(one.prompt): one.seam for one in samples}
        counts = {ids: self.given_back(ids) for ids in seams}
        prompts = [_Prompt(ids, seam, len(ids) - counts[ids]) for ids, seam in seams.items() if counts[ids]]
        if prompts:
            self._read(stepper, prompts, config, steering)
        found = {prompt.ids: prompt for prompt in prompts if prompt.endings}
        for row, one in enumerate(samples):
            if prompt := found.get(tuple(one.prompt)):
                _end(one, prompt, _chosen(prompt, generators[row] if generators else None, config))

    def _read(self, stepper: Stepper, prompts: list[_Prompt], config: GenerateConfig, steering: Steering) -> None:
        """Read the prompts up to the tokens given back, and these one by one, and find the endings."""
        log_p_BV = stepper.begin([prompt.ids[: prompt.kept] for prompt in prompts])
        for step in range(max(len(prompt.ids) - prompt.kept for prompt in prompts)):
            if step:
                read = [prompt.ids[: prompt.kept + step] for prompt in prompts]
                newest_B = torch.tensor([ids[-1] for ids in read], device=log_p_BV.device)
                log_p_BV = advance(stepper, read, newest_B, log_p_BV)
            for prompt, log_p_V in zip(prompts, log_p_BV.cpu(), strict=True):
                if prompt.kept + step < len(prompt.ids):
                    self._find(prompt, prompt.kept + step, log_p_V, config, steering)

    def _find(self, prompt: _Prompt, kept: int, log_p_V: Tensor, config: GenerateConfig, steering: Steering) -> None:
        """The endings after so many of a prompt's tokens."""
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
    """The ending of a prompt; None for the prompt as it stands."""
    scores_1E = torch.tensor([[*prompt.scores, prompt.log_p]], dtype=torch.float64)
    uniform_1 = None if generator is None else torch.tensor([generator.random()], dtype=torch.float64)
    choice = choose(scores_1E, config, uniform_1)
    return [*prompt.endings, None][int(choice)]


def _end(one: Sample, prompt: _Prompt, ending: Ending | None) -> None:
    if ending is not None:
        one.prompt = one.prompt[: ending.kept]
        one.seam = one.seam._replace(skip=ending.skip)
        one.tokens, one.token_nats = [ending.token], [-ending.log_p]
        one.alternatives = [prompt.alternatives[ending.kept]] if prompt.alternatives else []
