"""Writing text: the prompt is read once, then one token is chosen at a time, from the state that the model carries.

Each sample draws from a random generator of its own, seeded by the seed, the prompt and the sample's number among those
of the prompt: so a sample is the same whatever others are written beside it. Tokens are written in blocks that stay on
the device and are read back once a block.

Past its context a transformer goes on from the newest half of it, read again behind `<s>`, as scoring does with a
stride of half the context. A recurrent model has no such limit.

Shapes: B samples written side by side, T tokens of a block, V vocabulary.
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

BLOCK_S = 0.03  # about how long a block takes: a reader sees new text as often
MAX_BLOCK = 64

Alternatives = list[tuple[int, float]]
"""The likeliest tokens at one place, and the model's log p of each."""


@dataclass
class Sample:
    """A text that is being written: its prompt (ids without `<s>`) and the tokens so far, with the nats of each."""

    prompt: list[int]
    copy: int = 0
    """The sample's number among those of its prompt."""
    prompt_text: str = ""
    seam: Seam = field(default_factory=Seam)
    tokens: list[int] = field(default_factory=list)
    token_nats: list[float] = field(default_factory=list)
    """-log p of each token by the model alone, however the choice was narrowed."""
    alternatives: list[Alternatives] = field(default_factory=list)
    """For each token, if they were asked for."""
    finished: str = ""
    """Why it ended: `length`, `end` (the model ended the text), `match` (the constraint allows no more), `stop` (a stop
    string, set by the caller); empty while it is being written.
    """

    @property
    def nats(self) -> float:
        """-log p of all tokens."""
        return sum(self.token_nats)

    def cut(self, tokens: int) -> None:
        """Keep the first `tokens` tokens only."""
        del self.tokens[tokens:], self.token_nats[tokens:], self.alternatives[tokens:]


@torch.inference_mode()
def generate(
    stepper: Stepper,
    samples: Iterable[Sample],
    config: GenerateConfig,
    steering: Steering | None = None,
    healing: Healing | None = None,
) -> Iterator[list[Sample]]:
    """Write the samples, `config.batch_size` at a time; yield the samples of a batch whenever they have new tokens.

    The caller may set a sample's `finished` to end it. When a batch is yielded for the last time, all are finished.
    UsageError when no text short enough matches the constraint.
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
    if all(one.finished for one in rows):  # by healing, or because nothing may follow
        yield batch
    size = 1
    while not all(one.finished for one in rows):
        began = time.monotonic()
        count = min(size, _most_steps(stepper, rows, config))
        new, chosen_B, log_p_BV = _write_block(stepper, choice, count, log_p_BV)
        _take(rows, new, stepper.begin_id, most_tokens(config))
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
    """The most tokens of a block: as many as a sample can still need, or until a row of the stepper is full."""
    needed = most_tokens(config) - min(len(one.tokens) for one in rows if not one.finished)
    return needed if stepper.room is None else min(needed, stepper.room + 1)


def _next_size(size: int, count: int, elapsed_s: float) -> int:
    """The tokens of the next block, after a block of at most `size` whose `count` tokens took `elapsed_s`."""
    return max(1, min(MAX_BLOCK, 2 * size, int(count * BLOCK_S / max(elapsed_s, 1e-6))))


class _NewTokens(NamedTuple):
    """The tokens of a block, still on the device: for each step the tokens and their log p by the model, (B, 1), and if
    alternatives are asked for, the K likeliest tokens and their log p, (B, K).
    """

    tokens: list[Tensor]
    log_p: list[Tensor]
    likeliest: list[Tensor]
    log_p_of_likeliest: list[Tensor]


def _write_block(stepper: Stepper, choice: _Choice, count: int, log_p_BV: Tensor) -> tuple[_NewTokens, Tensor, Tensor]:
    """Choose `count` tokens for each row; also the last of them (B,), and the log p (B, V) that it was chosen by."""
    drawn_BT = choice.draw(count)
    new = _NewTokens([], [], [], [])
    chosen_B = choice.next(log_p_BV, drawn_BT[:, 0], new)
    for step in range(1, count):
        log_p_BV = stepper.step(chosen_B)
        chosen_B = choice.next(log_p_BV, drawn_BT[:, step], new)
    return new, chosen_B, log_p_BV


def _take(rows: list[Sample], new: _NewTokens, begin_id: int, most: int) -> None:
    """Give each unfinished sample its tokens of a block, up to the end of its text or the `most` that it may have."""
    tokens_BT, nats_BT = torch.cat(new.tokens, dim=1), -torch.cat(new.log_p, dim=1)
    for one, tokens, nats in zip(rows, tokens_BT.tolist(), nats_BT.tolist(), strict=True):
        if one.finished:
            continue
        tokens = tokens[: most - len(one.tokens)]
        if begin_id in tokens:  # where a document ended in the training text, the next one began
            one.finished = "end"
            tokens = tokens[: tokens.index(begin_id)]
        one.tokens += tokens
        one.token_nats += nats[: len(tokens)]
    if new.likeliest:
        ids_BTK, log_p_BTK = torch.stack(new.likeliest, dim=1), torch.stack(new.log_p_of_likeliest, dim=1)
        for one, ids_TK, log_p_TK in zip(rows, ids_BTK.tolist(), log_p_BTK.tolist(), strict=True):
            missing = len(one.tokens) - len(one.alternatives)
            one.alternatives += map(_paired, ids_TK[:missing], log_p_TK)


def _paired(ids: list[int], log_p: list[float]) -> Alternatives:
    return list(zip(ids, log_p, strict=True))


class _Choice:
    """Chooses the next token of each row, by the settings and rules, with each sample's random numbers."""

    def __init__(
        self,
        rows: list[Sample],
        generators: list[np.random.Generator],
        config: GenerateConfig,
        steering: Steering,
        log_p_BV: Tensor,
    ) -> None:
        self._config, self._steering, self._generators = config, steering, generators
        # Probabilities are summed in float64, which Apple's GPU does not have.
        self._device = torch.device("cpu") if log_p_BV.device.type == "mps" else log_p_BV.device
        self._texts: list[Written] = []
        if steering.by_token:
            self._texts = [steering.begin(one.prompt, one.seam, one.tokens) for one in rows]
        self._finish(rows)
        self._repetition: Repetition | None = None
        if config.repetition_penalty != 1:
            texts = [one.prompt + one.tokens for one in rows]
            self._repetition = Repetition(texts, config.repetition_penalty, log_p_BV.to(self._device))

    def draw(self, count: int) -> Tensor:
        """Random numbers in [0, 1) for the next tokens, (B, T); any numbers, (1, T), if nothing is drawn."""
        numbers = np.empty((max(1, len(self._generators)), count))
        for row, generator in enumerate(self._generators):
            generator.random(out=numbers[row])
        return torch.from_numpy(numbers).to(self._device)

    def next(self, log_p_BV: Tensor, drawn_B: Tensor, new: _NewTokens) -> Tensor:
        """Choose the next tokens (B,) and add them to `new`."""
        config, home = self._config, log_p_BV.device
        log_p_BV = log_p_BV.to(self._device)
        scores_BV = self._steering.scores(log_p_BV, self._texts)
        if self._repetition is not None:
            scores_BV = self._repetition.scores(scores_BV)
        chosen_B = choose(scores_BV, config, None if config.greedy else drawn_B)
        chosen_B1 = chosen_B.unsqueeze(1)
        if self._repetition is not None:
            self._repetition.add(chosen_B1)
        new.tokens.append(chosen_B1)
        new.log_p.append(log_p_BV.gather(1, chosen_B1))
        if config.alternatives:
            log_p_BK, ids_BK = log_p_BV.topk(min(config.alternatives, log_p_BV.shape[1]))
            new.likeliest.append(ids_BK)
            new.log_p_of_likeliest.append(log_p_BK)
        return chosen_B.to(home)

    def follow(self, rows: list[Sample]) -> None:
        """Apply the rules to the tokens just written, and finish the samples that nothing may follow."""
        for row in range(len(self._texts)):
            if not rows[row].finished:
                self._texts[row] = self._steering.after(self._texts[row], rows[row].tokens[-1])
        self._finish(rows)

    def _finish(self, rows: list[Sample]) -> None:
        for row, one in enumerate(rows):
            if not one.finished and self._texts and self._steering.ended(self._texts[row]):
                one.finished = "match"
            if not one.finished and len(one.tokens) == most_tokens(self._config):
                one.finished = "length"

    def keep(self, kept: Tensor) -> None:
        """Keep these rows only."""
        rows = kept.tolist()
        self._generators = [self._generators[row] for row in rows] if self._generators else []
        self._texts = [self._texts[row] for row in rows] if self._texts else []
        if self._repetition is not None:
            self._repetition.keep(kept)


def _generator(seed: int, one: Sample) -> np.random.Generator:
    """The random generator of one sample, seeded by the seed, its prompt and its number."""
    prompt = hashlib.sha256(np.array(one.prompt, dtype="<i8").tobytes()).digest()
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, one.copy, *prompt])))
