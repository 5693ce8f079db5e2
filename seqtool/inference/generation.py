"""Writing text: a prompt is read once, then one token at a time, on what the model remembers.

Each sample draws from a generator of its own, made of the seed, its prompt and which of the prompt's samples it is, so
that it is the same whichever others are made beside it. Tokens are made in blocks that stay on the device; only when a
block is done are they looked at.

Past its context a transformer goes on with the newest half of what it saw, read again behind `<s>`: what scoring does
with a stride of half the context. A recurrent model goes on for ever.

Shapes: B samples made side by side, T tokens of a block, V vocabulary.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from seqtool.config import GenerateConfig
from seqtool.errors import UsageError
from seqtool.inference.constraint import Constraint
from seqtool.inference.sampling import next_token_probabilities, sample
from seqtool.models.stepping import Stepper

BLOCK_S = 0.03  # a block takes about so long: as often as a reader sees new text
MAX_BLOCK = 64
FOR_EVER = 1 << 62


@dataclass
class Sample:
    """One text in the making: its prompt (ids without `<s>`) and the tokens written so far, with the nats of each."""

    prompt: list[int]
    copy: int = 0
    """Which of the samples of its prompt it is."""
    prompt_text: str = ""
    tokens: list[int] = field(default_factory=list)
    token_nats: list[float] = field(default_factory=list)
    """What the model itself gives each token, whatever narrowed the choice."""
    finished: str = ""
    """Why it ended: `length`, `end` (of the text, by the model), `match` (the constraint lets nothing follow), `stop`
    (a stop string, set by the caller).
    """

    @property
    def nats(self) -> float:
        """-log p of all tokens."""
        return sum(self.token_nats)

    def cut(self, tokens: int) -> None:
        """Leave out what comes after so many tokens."""
        del self.tokens[tokens:], self.token_nats[tokens:]


def most_tokens(config: GenerateConfig) -> int:
    """How many tokens a sample may have."""
    return FOR_EVER if config.until_end else config.max_tokens


def check_constraint(constraint: Constraint | None, config: GenerateConfig) -> None:
    """UsageError when no text that matches is short enough."""
    if constraint is not None and constraint.tokens_needed(constraint.start) > most_tokens(config):
        raise UsageError(
            f"--max-tokens {config.max_tokens}: the shortest text that matches --constrain takes up to "
            f"{constraint.tokens_needed(constraint.start)} tokens"
        )


@torch.inference_mode()
def generate(
    stepper: Stepper, samples: Iterable[Sample], config: GenerateConfig, constraint: Constraint | None = None
) -> Iterator[list[Sample]]:
    """Write the samples, `config.batch_size` at a time; yields the samples of a batch whenever some tokens are new.

    The caller may set a sample's `finished` to end it. A batch's last yield has every sample finished.
    """
    check_constraint(constraint, config)
    waiting = iter(samples)
    while batch := list(itertools.islice(waiting, config.batch_size)):
        if most_tokens(config):
            yield from _generate_batch(stepper, batch, config, constraint)
        else:
            for one in batch:
                one.finished = "length"
            yield batch


def _generate_batch(
    stepper: Stepper, batch: list[Sample], config: GenerateConfig, constraint: Constraint | None
) -> Iterator[list[Sample]]:
    rows, log_p_BV = batch, stepper.begin([one.prompt for one in batch])  # one sample a row
    choice = _Choice(rows, config, constraint, stepper.begin_id, log_p_BV)
    written, block = 0, 1
    while True:
        began = time.monotonic()
        left = most_tokens(config) - written
        count = min(block, left, FOR_EVER if stepper.room is None else stepper.room + 1)
        drawn_BT = choice.draw(count)
        tokens, log_p = [], []
        for step in range(count):
            chosen_B, log_p_B1 = choice.next(log_p_BV, drawn_BT[:, step], left - step)
            tokens.append(chosen_B)
            log_p.append(log_p_B1)
            if step + 1 < count:
                log_p_BV = stepper.step(chosen_B)
        _take(rows, torch.stack(tokens, dim=1), -torch.cat(log_p, dim=1), stepper.begin_id)
        written += count
        choice.follow(rows)
        for one in rows:
            if not one.finished and written == most_tokens(config):
                one.finished = "length"
        yield batch
        going = [row for row, one in enumerate(rows) if not one.finished]
        if not going:
            return
        if len(going) < len(rows) and (len(going) <= 3 * len(rows) // 4 or stepper.full or constraint):
            kept = torch.tensor(going, device=chosen_B.device)
            stepper.keep(kept)
            choice.keep(kept)
            rows, chosen_B, log_p_BV = [rows[row] for row in going], chosen_B[kept], log_p_BV[kept]
        texts = [one.prompt + one.tokens for one in rows] if stepper.full else []
        log_p_BV = advance(stepper, texts, chosen_B, log_p_BV)
        elapsed = time.monotonic() - began
        block = 1 if constraint else max(1, min(MAX_BLOCK, 2 * block, int(count * BLOCK_S / max(elapsed, 1e-6))))


def advance(stepper: Stepper, texts: Sequence[Sequence[int]], chosen_B: Tensor, log_p_BV: Tensor) -> Tensor:
    """log p (B, V) after the chosen tokens, with which the texts of rows that are full end."""
    full = stepper.full
    if not full:
        return stepper.step(chosen_B)
    kept = max(1, (stepper.context or 0) // 2)
    log_p_BV = log_p_BV.clone()
    if len(full) == len(chosen_B):
        stepper.read_again(full, [texts[row][-kept:] for row in full], log_p_BV)
        return log_p_BV
    # The others go on by one token, and so the full ones are read up to it.
    stepper.read_again(full, [texts[row][-kept:-1] for row in full], log_p_BV)
    return stepper.step(chosen_B)


def _take(rows: list[Sample], tokens_BT: Tensor, nats_BT: Tensor, begin_id: int) -> None:
    """Give each unfinished sample its tokens of a block, up to the end of its text."""
    for one, tokens, nats in zip(rows, tokens_BT.tolist(), nats_BT.tolist(), strict=True):
        if one.finished:
            continue
        if begin_id in tokens:  # where a document ended in the training text, the next one began
            one.finished = "end"
            tokens = tokens[: tokens.index(begin_id)]
        one.tokens += tokens
        one.token_nats += nats[: len(tokens)]


def allowed_tokens(constraint: Constraint, states: Sequence[int], budget: int, begin_id: int) -> Tensor:
    """The tokens that may come next, (B, V), with `budget` left; the text's end among them where all of it matches."""
    allowed_BV = np.stack([constraint.allowed(state, budget) for state in states])
    allowed_BV[:, begin_id] = [constraint.accepts(state) for state in states]
    return torch.from_numpy(allowed_BV)


class _Choice:
    """How the next token of each row is chosen."""

    def __init__(
        self,
        rows: list[Sample],
        config: GenerateConfig,
        constraint: Constraint | None,
        begin_id: int,
        log_p_BV: Tensor,
    ) -> None:
        self._config, self._constraint, self._begin_id = config, constraint, begin_id
        # Apple's GPU has no float64, in which probabilities are summed.
        self._device = torch.device("cpu") if log_p_BV.device.type == "mps" else log_p_BV.device
        self._generators = [] if config.greedy else [_generator(config.seed, one) for one in rows]
        self._states = [constraint.start if constraint else 0] * len(rows)
        self._there_BV: Tensor | None = None
        if config.repetition_penalty != 1:
            self._there_BV = torch.zeros(log_p_BV.shape, dtype=torch.bool, device=self._device)
            for row, one in enumerate(rows):
                self._there_BV[row, one.prompt] = True

    def draw(self, count: int) -> Tensor:
        """Numbers between 0 and 1 for the next tokens; (B, T), or (1, T) of anything when nothing is drawn."""
        numbers = np.empty((max(1, len(self._generators)), count))
        for row, generator in enumerate(self._generators):
            generator.random(out=numbers[row])
        return torch.from_numpy(numbers).to(self._device)

    def next(self, log_p_BV: Tensor, drawn_B: Tensor, budget: int) -> tuple[Tensor, Tensor]:
        """The tokens (B,) and the model's log p of them (B, 1), with `budget` tokens left to write."""
        config, home = self._config, log_p_BV.device
        log_p_BV = narrowed_BV = log_p_BV.to(self._device)
        if self._there_BV is not None:
            narrowed_BV = log_p_BV - self._there_BV * math.log(config.repetition_penalty)
        if self._constraint is not None:
            allowed_BV = allowed_tokens(self._constraint, self._states, budget, self._begin_id)
            narrowed_BV = narrowed_BV.masked_fill(~allowed_BV.to(self._device), -torch.inf)
        if config.greedy:
            chosen_B = narrowed_BV.argmax(dim=-1)
        else:
            p_BV = next_token_probabilities(
                narrowed_BV,
                temperature=config.temperature,
                top_k=config.top_k,
                top_p=config.top_p,
                min_p=config.min_p,
                typical=config.typical,
            )
            chosen_B = sample(p_BV, drawn_B)
        chosen_B1 = chosen_B.unsqueeze(1)
        if self._there_BV is not None:
            self._there_BV.scatter_(1, chosen_B1, True)
        return chosen_B.to(home), log_p_BV.gather(1, chosen_B1)

    def follow(self, rows: list[Sample]) -> None:
        """Take the tokens just written through the constraint; a text that nothing may follow is finished."""
        if self._constraint is None:
            return
        for row, one in enumerate(rows):
            if not one.finished:
                self._states[row] = self._constraint.after(self._states[row], one.tokens[-1])
                if not self._constraint.allowed(self._states[row], FOR_EVER).any():
                    one.finished = "match"

    def keep(self, kept: Tensor) -> None:
        """Go on with these rows only."""
        rows = kept.tolist()
        self._generators = [self._generators[row] for row in rows] if self._generators else []
        self._states = [self._states[row] for row in rows]
        if self._there_BV is not None:
            self._there_BV = self._there_BV.index_select(0, kept.to(self._device))


def _generator(seed: int, one: Sample) -> np.random.Generator:
    """The random numbers of one sample: of its seed, its prompt and which of the prompt's samples it is."""
    prompt = hashlib.sha256(np.array(one.prompt, dtype="<i8").tobytes()).digest()
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, one.copy, *prompt])))
