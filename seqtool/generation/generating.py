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
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from seqtool.generation.healing import Healing
from seqtool.generation.sampling import choose
from seqtool.generation.steering import Repetition, Steering, Written, most_tokens
from seqtool.models.predictor import Stepper, advance
from seqtool.settings.generation import GenerateConfig
from seqtool.text.decoding import Seam

BLOCK_S = 0.03  # a block takes about so long: as often as a reader sees new text
MAX_BLOCK = 64

Alternatives = list[tuple[int, float]]
"""The likeliest tokens at one place, and the model's log p of each."""


@dataclass
class Sample:
    """One text in the making: its prompt (ids without `<s>`) and the tokens written so far, with the nats of each."""

    prompt: list[int]
    copy: int = 0
    """Which of the samples of its prompt it is."""
    prompt_text: str = ""
    seam: Seam = field(default_factory=Seam)
    tokens: list[int] = field(default_factory=list)
    token_nats: list[float] = field(default_factory=list)
    """What the model itself gives each token, whatever narrowed the choice."""
    alternatives: list[Alternatives] = field(default_factory=list)
    """For each token, where they were asked for."""
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
        del self.tokens[tokens:], self.token_nats[tokens:], self.alternatives[tokens:]


@torch.inference_mode()
def generate(
    stepper: Stepper,
    samples: Iterable[Sample],
    config: GenerateConfig,
    steering: Steering | None = None,
    healing: Healing | None = None,
) -> Iterator[list[Sample]]:
    """Write the samples, `config.batch_size` at a time; yields the samples of a batch whenever some tokens are new.

    The caller may set a sample's `finished` to end it. A batch's last yield has every sample finished.
    """
    steering = steering or Steering(config, stepper.begin_id)
    waiting = iter(samples)
    while batch := list(itertools.islice(waiting, config.batch_size)):
        for one in batch:
            steering.check(one.seam)
        if most_tokens(config):
            yield from _generate_batch(stepper, batch, config, steering, healing)
        else:
            for one in batch:
                one.finished = "length"
            yield batch


def _generate_batch(
    stepper: Stepper, batch: list[Sample], config: GenerateConfig, steering: Steering, healing: Healing | None
) -> Iterator[list[Sample]]:
    generators = [] if config.greedy else [_generator(config.seed, one) for one in batch]
    if healing is not None:
        healing.heal(stepper, batch, generators, config, steering)
    rows, log_p_BV = batch, stepper.begin([one.prompt + one.tokens for one in batch])  # one sample a row
    choice = _Choice(rows, generators, config, steering, log_p_BV)
    if all(one.finished for one in rows):  # by what healing wrote, or since nothing may be written
        yield batch
    size = 1
    while not all(one.finished for one in rows):
        began = time.monotonic()
        count = min(size, _most_steps(stepper, rows, config))
        block, chosen_B, log_p_BV = _write_block(stepper, choice, count, log_p_BV)
        _take(rows, block, stepper.begin_id, most_tokens(config))
        choice.follow(rows)
        yield batch
        going = [row for row, one in enumerate(rows) if not one.finished]
        if not going:
            return
        if len(going) < len(rows) and (len(going) <= 3 * len(rows) // 4 or stepper.full or steering.by_token):
            kept = torch.tensor(going, device=chosen_B.device)
            stepper.keep(kept)
            choice.keep(kept)
            rows, chosen_B, log_p_BV = [rows[row] for row in going], chosen_B[kept], log_p_BV[kept]
        texts = [one.prompt + one.tokens for one in rows] if stepper.full else []
        log_p_BV = advance(stepper, texts, chosen_B, log_p_BV)
        size = 1 if steering.by_token else _next_size(size, count, time.monotonic() - began)


def _most_steps(stepper: Stepper, rows: list[Sample], config: GenerateConfig) -> int:
    """How many tokens a block can have: no unfinished sample needs more, and no row of the stepper is full before."""
    needed = most_tokens(config) - min(len(one.tokens) for one in rows if not one.finished)
    return needed if stepper.room is None else min(needed, stepper.room + 1)


def _next_size(size: int, count: int, elapsed_s: float) -> int:
    """The size of the next block, after one of `size` of which `count` steps took `elapsed_s`."""
    return max(1, min(MAX_BLOCK, 2 * size, int(count * BLOCK_S / max(elapsed_s, 1e-6))))


class _Block(NamedTuple):
    """The tokens of a block, still on the device: for each step, the tokens and the model's log p of them, (B, 1), and
    where they are asked for the K likeliest tokens and theirs, (B, K).
    """

    tokens: list[Tensor]
    log_p: list[Tensor]
    likeliest: list[Tensor]
    log_p_of_likeliest: list[Tensor]


def _write_block(stepper: Stepper, choice: _Choice, count: int, log_p_BV: Tensor) -> tuple[_Block, Tensor, Tensor]:
    """`count` further tokens of each row; with the last of them (B,), and the log p (B, V) it was chosen by."""
    drawn_BT = choice.draw(count)
    block = _Block([], [], [], [])
    chosen_B = choice.next(log_p_BV, drawn_BT[:, 0], block)
    for step in range(1, count):
        log_p_BV = stepper.step(chosen_B)
        chosen_B = choice.next(log_p_BV, drawn_BT[:, step], block)
    return block, chosen_B, log_p_BV


def _take(rows: list[Sample], block: _Block, begin_id: int, most: int) -> None:
    """Give each unfinished sample its tokens of a block, up to the end of its text or to the `most` it may have."""
    tokens_BT, nats_BT = torch.cat(block.tokens, dim=1), -torch.cat(block.log_p, dim=1)
    for one, tokens, nats in zip(rows, tokens_BT.tolist(), nats_BT.tolist(), strict=True):
        if one.finished:
            continue
        tokens = tokens[: most - len(one.tokens)]
        if begin_id in tokens:  # where a document ended in the training text, the next one began
            one.finished = "end"
            tokens = tokens[: tokens.index(begin_id)]
        one.tokens += tokens
        one.token_nats += nats[: len(tokens)]
    if block.likeliest:
        ids_BTK, log_p_BTK = torch.stack(block.likeliest, dim=1), torch.stack(block.log_p_of_likeliest, dim=1)
        for one, ids_TK, log_p_TK in zip(rows, ids_BTK.tolist(), log_p_BTK.tolist(), strict=True):
            missing = len(one.tokens) - len(one.alternatives)
            one.alternatives += map(_paired, ids_TK[:missing], log_p_TK)


def _paired(ids: list[int], log_p: list[float]) -> Alternatives:
    return list(zip(ids, log_p, strict=True))


class _Choice:
    """How the next token of each row is chosen."""

    def __init__(
        self,
        rows: list[Sample],
        generators: list[np.random.Generator],
        config: GenerateConfig,
        steering: Steering,
        log_p_BV: Tensor,
    ) -> None:
        self._config, self._steering, self._generators = config, steering, generators
        # Apple's GPU has no float64, in which probabilities are summed.
        self._device = torch.device("cpu") if log_p_BV.device.type == "mps" else log_p_BV.device
        self._texts: list[Written] = []
        if steering.by_token:
            self._texts = [steering.begin(one.prompt, one.seam, one.tokens) for one in rows]
        self._end(rows)
        self._repetition: Repetition | None = None
        if config.repetition_penalty != 1:
            texts = [one.prompt + one.tokens for one in rows]
            self._repetition = Repetition(texts, config.repetition_penalty, log_p_BV.to(self._device))

    def draw(self, count: int) -> Tensor:
        """Numbers between 0 and 1 for the next tokens; (B, T), or (1, T) of anything when nothing is drawn."""
        numbers = np.empty((max(1, len(self._generators)), count))
        for row, generator in enumerate(self._generators):
            generator.random(out=numbers[row])
        return torch.from_numpy(numbers).to(self._device)

    def next(self, log_p_BV: Tensor, drawn_B: Tensor, block: _Block) -> Tensor:
        """The tokens (B,), which are added to `block`."""
        config, home = self._config, log_p_BV.device
        log_p_BV = log_p_BV.to(self._device)
        scores_BV = self._steering.scores(log_p_BV, self._texts)
        if self._repetition is not None:
            scores_BV = self._repetition.scores(scores_BV)
        chosen_B = choose(scores_BV, config, None if config.greedy else drawn_B)
        chosen_B1 = chosen_B.unsqueeze(1)
        if self._repetition is not None:
            self._repetition.add(chosen_B1)
        block.tokens.append(chosen_B1)
        block.log_p.append(log_p_BV.gather(1, chosen_B1))
        if config.alternatives:
            log_p_BK, ids_BK = log_p_BV.topk(min(config.alternatives, log_p_BV.shape[1]))
            block.likeliest.append(ids_BK)
            block.log_p_of_likeliest.append(log_p_BK)
        return chosen_B.to(home)

    def follow(self, rows: list[Sample]) -> None:
        """Take the tokens just written into account, and finish the texts that nothing may follow."""
        for row in range(len(self._texts)):
            if not rows[row].finished:
                self._texts[row] = self._steering.after(self._texts[row], rows[row].tokens[-1])
        self._end(rows)

    def _end(self, rows: list[Sample]) -> None:
        for row, one in enumerate(rows):
            if not one.finished and self._texts and self._steering.ended(self._texts[row]):
                one.finished = "match"
            if not one.finished and len(one.tokens) == most_tokens(self._config):
                one.finished = "length"

    def keep(self, kept: Tensor) -> None:
        """Go on with these rows only."""
        rows = kept.tolist()
        self._generators = [self._generators[row] for row in rows] if self._generators else []
        self._texts = [self._texts[row] for row in rows] if self._texts else []
        if self._repetition is not None:
            self._repetition.keep(kept)


def _generator(seed: int, one: Sample) -> np.random.Generator:
    """The random numbers of one sample: of its seed, its prompt and which of the prompt's samples it is."""
    prompt = hashlib.sha256(np.array(one.prompt, dtype="<i8").tobytes()).digest()
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, one.copy, *prompt])))
