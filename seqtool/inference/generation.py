"""Writing text: a prompt is read once, then one token at a time, on the state (or key-value cache) that the model
returns.

Each sample draws from a generator of its own, seeded by `seed` and the sample's number, so that a sample is the same
whichever others are made beside it.

Shapes: B samples made side by side, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqtool.config import GenerateConfig
from seqtool.errors import UsageError
from seqtool.inference.sampling import next_token_probabilities, sample
from seqtool.models.language_model import LanguageModel
from seqtool.models.state import State, take_rows


@dataclass
class Sample:
    """One text in the making: its prompt and the tokens written so far, and the nats the model gives those tokens."""

    number: int
    prompt: list[int]
    tokens: list[int] = field(default_factory=list)
    nats: float = 0.0
    finished: str = ""
    """Why it ended: `length`, `end` (of the text, by the model), `stop` (a stop string, set by the caller)."""


@torch.inference_mode()
def generate(model: LanguageModel, prompts: Sequence[Sequence[int]], config: GenerateConfig) -> Iterator[list[Sample]]:
    """Write a continuation of each prompt (ids without `<s>`); yields the samples of a batch after each token.

    The caller may set a sample's `finished` to end it. Batches come in the order of the prompts; a batch's last yield
    has every sample finished. UsageError when a setting contradicts another.
    """
    if config.greedy and (config.top_k or config.top_p < 1 or config.min_p):
        raise UsageError("--greedy takes the likeliest token: leave out --top-k, --top-p and --min-p")
    was_training = model.training
    model.eval()
    try:
        for start in range(0, len(prompts), config.batch_size):
            batch = [
                Sample(start + offset, list(prompt))
                for offset, prompt in enumerate(prompts[start : start + config.batch_size])
            ]
            yield from _generate_batch(model, batch, config)
    finally:
        model.train(was_training)


def _generate_batch(model: LanguageModel, batch: list[Sample], config: GenerateConfig) -> Iterator[list[Sample]]:
    generators = [_generator(config.seed, sample.number) for sample in batch]
    if not config.max_tokens:
        for one in batch:
            one.finished = "length"
        yield batch
        return
    # Samples of one prompt length share a state; a batch of equal prompts is one group.
    groups: dict[int, list[int]] = {}
    for index, one in enumerate(batch):
        groups.setdefault(len(one.prompt), []).append(index)
    running = [_Group(model, [batch[index] for index in rows], rows) for rows in groups.values()]
    while running:
        for group in running:
            group.step(model, config, generators)
        yield batch
        running = [group for group in running if group.drop_finished()]


class _Group:
    """Samples at the same position, with one batched state."""

    def __init__(self, model: LanguageModel, samples: list[Sample], rows: list[int]) -> None:
        self.samples, self.rows = samples, rows
        prompts = {tuple(one.prompt) for one in samples}
        if len(prompts) == 1:  # read a shared prompt once
            logits, state = read(model, [samples[0].prompt])
            copies = torch.zeros(len(samples), dtype=torch.long, device=model.device)
            self.logits_BV, self.state = logits.index_select(0, copies), take_rows(state, copies)
        else:
            self.logits_BV, self.state = read(model, [one.prompt for one in samples])

    def step(self, model: LanguageModel, config: GenerateConfig, generators: list[torch.Generator]) -> None:
        """Choose the next token of every sample and let the model read it."""
        # Apple's GPU has no float64, in which probabilities are summed.
        logits_BV = self.logits_BV.cpu() if model.device.type == "mps" else self.logits_BV
        if config.greedy:
            chosen_B = logits_BV.argmax(dim=-1)
        else:
            probabilities_BV = next_token_probabilities(
                logits_BV,
                temperature=config.temperature,
                top_k=config.top_k,
                top_p=config.top_p,
                min_p=config.min_p,
            )
            uniform = [torch.rand((), dtype=torch.float64, generator=generators[row]).item() for row in self.rows]
            chosen_B = sample(probabilities_BV, torch.tensor(uniform, dtype=torch.float64, device=logits_BV.device))
        nats_B = -logits_BV.float().log_softmax(dim=-1).gather(-1, chosen_B.unsqueeze(-1)).squeeze(-1)
        for one, token, nats in zip(self.samples, chosen_B.tolist(), nats_B.tolist(), strict=True):
            if token == model.begin_id:  # where a document ended in the training text, the next one began
                one.finished = "end"
                continue
            one.tokens.append(token)
            one.nats += nats
            if len(one.tokens) >= config.max_tokens:
                one.finished = "length"
        if all(one.finished for one in self.samples):
            return
        if model.context is not None and self.state[0][0].shape[2] >= model.context:
            # The cache is full: begin again with the newer half of what it held.
            kept = max(1, model.context // 2)
            texts = [(one.prompt + one.tokens)[-kept:] or [model.begin_id] for one in self.samples]
            width = min(len(text) for text in texts)  # a finished sample may be a token shorter
            self.logits_BV, self.state = read(model, [text[-width:] for text in texts])
        else:
            logits_B1V, self.state = model(chosen_B.unsqueeze(1).to(model.device), self.state)
            self.logits_BV = logits_B1V[:, -1]

    def drop_finished(self) -> bool:
        """Keep only the samples that go on; False when none does."""
        going = [index for index, one in enumerate(self.samples) if not one.finished]
        if going and len(going) < len(self.samples):
            kept = torch.tensor(going, device=self.logits_BV.device)
            self.logits_BV, self.state = self.logits_BV.index_select(0, kept), take_rows(self.state, kept)
            self.samples, self.rows = [self.samples[i] for i in going], [self.rows[i] for i in going]
        return bool(going)


READ_TOKENS = 1024


def read(model: LanguageModel, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, State]:
    """Read `<s>` and prompts of one length; the logits (B, V) of what comes next, and the state.

    A transformer reads the end of a prompt that is longer than its context.
    """
    if model.context is not None:
        prompts = [prompt[-(model.context - 1) :] if model.context > 1 else [] for prompt in prompts]
    ids_BT = torch.tensor([[model.begin_id, *prompt] for prompt in prompts], device=model.device)
    state = None
    for part_BT in ids_BT.split(model.context or READ_TOKENS, dim=1):
        logits_BTV, state = model(part_BT, state)
    assert state is not None
    return logits_BTV[:, -1], state


def _generator(seed: int, number: int) -> torch.Generator:
    """A generator for one sample: `seed` and `number` mixed, so that neighbouring seeds do not share samples."""
    mixed = (seed * 0x9E3779B97F4A7C15 + number * 0xBF58476D1CE4E5B9 + 0x94D049BB133111EB) % 2**63
    return torch.Generator().manual_seed(mixed)
