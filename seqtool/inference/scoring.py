"""Scoring: the nats of every token of a text, each counted once, the first one given `<s>`.

A recurrent model (and `ffn`) carries its state from the first token of a document to the last. A transformer slides a
window: each window is read afresh, behind `<s>`, and scores its last `stride` tokens, so that every token but the first
ones has at least `context - stride` tokens before it. Batches only change what is computed together, never a result.

Shapes: B batch, T time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from seqtool.errors import UsageError
from seqtool.models.language_model import LanguageModel
from seqtool.models.loss import IGNORE, token_nats

Nats = npt.NDArray[np.float32]

CHUNK_TOKENS = 1024  # tokens of a long document that a recurrent model reads at a time
LOGITS_AT_ONCE = 1 << 25  # numbers in a tensor of logits; larger batches are taken in parts


class Document(Protocol):
    """A sequence of ids of which parts are taken."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice) -> npt.NDArray[np.unsignedinteger]: ...


class Scored(NamedTuple):
    """The nats of the next tokens of a document; `ends` with the last of them."""

    nats: Nats
    ends: bool


@dataclass(frozen=True)
class Window:
    """Tokens `start:stop` of a document are read, and those from `score_from` on are scored."""

    start: int
    score_from: int
    stop: int


def windows(tokens: int, context: int, stride: int) -> Iterator[Window]:
    """The windows that score each of `tokens` once; a window holds `<s>` and at most `context - 1` tokens of input."""
    scored = 0
    while scored < tokens:
        stop = min(tokens, max(scored + stride, context) if scored == 0 else scored + stride)
        yield Window(max(0, stop - context), scored, stop)
        scored = stop


def check_window(model: LanguageModel, context: int, stride: int) -> tuple[int, int]:
    """The context and stride to score with (0: the model's, and half of it); UsageError when they do not fit."""
    if model.context is None:
        if context or stride:
            raise UsageError(
                f"--context and --stride are for a transformer: {model.config.model} carries its state through the text"
            )
        return 0, 0
    context = context or model.context
    stride = stride or max(1, context // 2)
    if context > model.context:
        raise UsageError(f"--context {context}: this model sees at most {model.context} tokens")
    if stride > context:
        raise UsageError(f"--stride {stride} would skip tokens: at most the context, {context}")
    return context, stride


@torch.inference_mode()
def score_documents(
    model: LanguageModel, documents: Iterable[Document], *, batch_size: int = 32, context: int = 0, stride: int = 0
) -> Iterator[Scored]:
    """Yield the nats of each document's tokens, in order, a long document in several parts.

    `documents` hold text only, no `<s>`. Memory is bounded by `batch_size` documents of CHUNK_TOKENS tokens. UsageError
    when `context` or `stride` do not fit the model.
    """
    context, stride = check_window(model, context, stride)
    was_training = model.training
    model.eval()
    try:
        if model.context is None:
            yield from _score_carrying_state(model, documents, batch_size)
        else:
            yield from _score_in_windows(model, documents, batch_size, context, stride)
    finally:
        model.train(was_training)


def _score_carrying_state(model: LanguageModel, documents: Iterable[Document], batch_size: int) -> Iterator[Scored]:
    group: list[Document] = []
    for document in documents:
        if len(document) > CHUNK_TOKENS:
            yield from _score_group(model, group)
            group = []
            yield from _score_long(model, document)
            continue
        group.append(document)
        if len(group) == batch_size:
            yield from _score_group(model, group)
            group = []
    yield from _score_group(model, group)


def _score_long(model: LanguageModel, document: Document) -> Iterator[Scored]:
    state = None
    last = model.begin_id
    for start in range(0, len(document), CHUNK_TOKENS):
        targets = document[start : start + CHUNK_TOKENS].astype(np.int64)
        inputs = np.concatenate([[last], targets[:-1]])
        last = targets[-1]
        logits_BTV, state = model(_rows([inputs], model), state)
        nats = token_nats(logits_BTV, _rows([targets], model))
        yield Scored(nats[0].cpu().numpy(), start + CHUNK_TOKENS >= len(document))


def _score_group(model: LanguageModel, group: list[Document]) -> Iterator[Scored]:
    targets = [document[0 : len(document)].astype(np.int64) for document in group]
    for rows in _parts(targets, model.vocab_size):
        inputs = [np.concatenate([[model.begin_id], row[:-1]])[: len(row)] for row in rows]
        nats_BT = _padded_nats(model, inputs, rows)
        for row, nats in zip(rows, nats_BT, strict=True):
            yield Scored(nats[: len(row)], True)


def _score_in_windows(
    model: LanguageModel, documents: Iterable[Document], batch_size: int, context: int, stride: int
) -> Iterator[Scored]:
    batch: list[tuple[Document, Window]] = []
    for document in documents:
        if not len(document):  # nothing to read, but its end is reported in its place
            yield from _score_windows(model, batch)
            batch = []
            yield Scored(np.empty(0, np.float32), True)
        for window in windows(len(document), context, stride):
            batch.append((document, window))
            if len(batch) == batch_size:
                yield from _score_windows(model, batch)
                batch = []
    yield from _score_windows(model, batch)


def _score_windows(model: LanguageModel, batch: list[tuple[Document, Window]]) -> Iterator[Scored]:
    targets = [document[window.start : window.stop].astype(np.int64) for document, window in batch]
    position = 0
    for rows in _parts(targets, model.vocab_size):
        inputs = [np.concatenate([[model.begin_id], row[:-1]]) for row in rows]
        nats_BT = _padded_nats(model, inputs, rows)
        for nats, row in zip(nats_BT, rows, strict=True):
            document, window = batch[position]
            position += 1
            yield Scored(nats[window.score_from - window.start : len(row)], window.stop == len(document))


def _parts(rows: list[npt.NDArray[np.int64]], vocab_size: int) -> Iterator[list[npt.NDArray[np.int64]]]:
    """Consecutive rows whose logits fit into LOGITS_AT_ONCE, at least one row at a time."""
    start, longest = 0, 0
    for index, row in enumerate(rows):
        longest = max(longest, len(row))
        if index > start and (index + 1 - start) * longest * vocab_size > LOGITS_AT_ONCE:
            yield rows[start:index]
            start, longest = index, len(row)
    if start < len(rows):
        yield rows[start:]


def _padded_nats(
    model: LanguageModel, inputs: list[npt.NDArray[np.int64]], targets: list[npt.NDArray[np.int64]]
) -> npt.NDArray[np.float32]:
    width = max(1, max(len(row) for row in targets))
    inputs_BT = np.full((len(inputs), width), model.begin_id, dtype=np.int64)
    targets_BT = np.full((len(inputs), width), IGNORE, dtype=np.int64)
    for index, (given, wanted) in enumerate(zip(inputs, targets, strict=True)):
        inputs_BT[index, : len(given)] = given
        targets_BT[index, : len(wanted)] = wanted
    logits_BTV, _ = model(torch.from_numpy(inputs_BT).to(model.device))
    nats: npt.NDArray[np.float32] = token_nats(logits_BTV, torch.from_numpy(targets_BT).to(model.device)).cpu().numpy()
    return nats


def _rows(rows: list[npt.NDArray[np.int64]], model: LanguageModel) -> torch.Tensor:
    return torch.from_numpy(np.stack(rows)).to(model.device)


@dataclass(frozen=True)
class Validation:
    """A loss on validation text: nats in all, over this many tokens."""

    nats: float
    tokens: int

    @property
    def loss(self) -> float:
        """Nats per token; infinite where there was none."""
        return self.nats / self.tokens if self.tokens else math.inf


VALIDATION_ROWS = 64  # parts of the validation text that are scored side by side during training
WARM_UP_TOKENS = 64  # tokens that a recurrent state reads, unscored, before its part begins


def validate(
    model: LanguageModel, ids: Document, max_tokens: int, stopped: Callable[[], bool] | None = None
) -> Validation | None:
    """The loss on up to `max_tokens` validation tokens, quickly: the same definition as a full scoring, in parallel
    parts.

    The text, `<s>` before each document in it, is cut into up to VALIDATION_ROWS parts spread over it. Where a part
    begins inside a document, the state is warmed up on the tokens before, where a full scoring would have carried it
    from the document's beginning; a transformer's windows do not overlap, so each has less before it than in a full
    scoring. None when `stopped` said yes on the way.
    """
    tokens = min(len(ids), max_tokens)
    rows = max(1, min(VALIDATION_ROWS, tokens // (2 * WARM_UP_TOKENS)))
    size = tokens // rows
    pieces: list[npt.NDArray[np.unsignedinteger]] = []
    unscored: list[int] = []
    for start in (row * len(ids) // rows for row in range(rows)):
        warm = min(start, WARM_UP_TOKENS)
        part = ids[start - warm : start + size]
        begins = [0, *(np.flatnonzero(part == model.begin_id) + 1).tolist()]
        for begin, end in zip(begins, [*(begin - 1 for begin in begins[1:]), len(part)], strict=True):
            if end > max(begin, warm):
                pieces.append(part[begin:end])
                unscored.append(max(0, warm - begin))
    nats, count, index, position = 0.0, 0, 0, 0
    for scored in score_documents(model, pieces, batch_size=VALIDATION_ROWS, stride=model.context or 0):
        if stopped is not None and stopped():
            return None
        kept = scored.nats[max(0, unscored[index] - position) :]
        nats, count = nats + float(kept.sum(dtype=np.float64)), count + len(kept)
        position += len(scored.nats)
        if scored.ends:
            index, position = index + 1, 0
    return Validation(nats, count)
