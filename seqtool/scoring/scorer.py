"""Scoring: the nats of every token of a text, each counted once, the first of a document given `<s>`.

A recurrent model (and `ffn`) carries its state from the first token of a document to the last. A transformer slides a
window: each window is read afresh, behind `<s>`, and scores its last `stride` tokens, so that every token but the first
ones is given at least `context - stride` tokens before it. The places of windows depend on positions alone, so the nats
of a token depend on the tokens before it and never on those after it. Batching changes what is computed together, never
a result.

Shapes: B batch, T time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtool.errors import UsageError
from seqtool.models.predictor import Predictor
from seqtool.models.state import State, rows_of, take_rows
from seqtool.settings.scoring import EvalConfig

Nats = npt.NDArray[np.float32]

TOKENS_AT_ONCE = 1 << 16  # collected to be scored together; also the size of a padded batch
CALL_TOKENS = 1 << 13  # in one call of the model, over all rows
CALL_LOGITS = 1 << 20  # numbers in one call's tensor of logits: few enough for a processor's cache
ACCELERATOR_LOGITS = 1 << 25


class Document(Protocol):
    """A sequence of ids that can be sliced."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice) -> npt.NDArray[np.unsignedinteger]: ...


class Scored(NamedTuple):
    """The nats of consecutive tokens of a document; `ends` if they are its last."""

    nats: Nats
    ends: bool


class Window(NamedTuple):
    """Tokens `start:stop` of a text are read, and those from `score_from` on are scored."""

    start: int
    score_from: int
    stop: int


def windows(start: int, stop: int, context: int, stride: int) -> Iterator[Window]:
    """Yield the windows that score the tokens `start:stop` of a document, each once.

    A window begins at a multiple of `stride` and has at most `context` tokens. That at the document's beginning scores
    all of them, each later one its last `stride`, or fewer where the document ends.
    """
    while start < stop:
        begin = 0 if start < context else ((start - context) // stride + 1) * stride
        end = min(stop, begin + context)
        yield Window(begin, start, end)
        start = end


def document_parts(
    ids: npt.NDArray[np.unsignedinteger], starts: Sequence[int]
) -> Iterator[tuple[bool, npt.NDArray[np.int64]]]:
    """Whether a document begins, and its ids, in order; ids before the first of `starts` continue an open one."""
    goes_on = not starts or starts[0] > 0
    for number, (begin, end) in enumerate(pairwise([*([0] if goes_on else []), *starts, len(ids)])):
        yield number > 0 or not goes_on, ids[begin:end].astype(np.int64)


def check_window(model: Predictor, context: int, stride: int) -> tuple[int, int]:
    """The context and stride to score with, by default the model's and half of it; UsageError when they do not fit."""
    if model.context is None:
        if context or stride:
            raise UsageError(
                "--context and --stride are for models with a limited context: this one carries its state through the "
                "text; leave them out"
            )
        return 0, 0
    context = context or model.context
    stride = stride or max(1, context // 2)
    if context > model.context:
        raise UsageError(f"--context {context}: this model sees at most {model.context} tokens")
    if stride > context:
        raise UsageError(f"--stride {stride} would skip tokens: at most the context, {context}")
    return context, stride


def perplexity(nats: float, count: int) -> float | None:
    """exp(nats / count); None where there is nothing to divide by or the number is too large to write."""
    return math.exp(nats / count) if count and nats / count < 700 else None


class Scorer:
    """Scores a text as it arrives: documents one after another, the last one open until the next begins.

    Documents that begin together are scored side by side, those of similar length in one batch; so are the windows of
    a transformer. The ids `given` are read, unscored, before each document. UsageError when `context` or `stride` do
    not fit the model.
    """

    def __init__(
        self,
        model: Predictor,
        *,
        batch_size: int = EvalConfig.batch_size,
        context: int = 0,
        stride: int = 0,
        given: Sequence[int] = (),
    ) -> None:
        self._model, self._batch_size = model, batch_size
        self._context, self._stride = check_window(model, context, stride)
        self._given = np.array(given, np.int64)
        # The end of what is given is inserted before each document, cut so that windows lie as behind all of it.
        beyond = max(0, len(given) - self._context) // self._stride * self._stride if self._context else len(given)
        self._inserted = self._given[beyond:]
        self._given_state: State | None = None
        # Of the open document: how many tokens are scored, the last of them, and the state before the final one.
        self._scored, self._tail = 0, np.empty(0, np.int64)
        self._state: State | None = None

    @torch.inference_mode()
    def score(self, ids: npt.NDArray[np.unsignedinteger], starts: Sequence[int]) -> Nats:
        """The nats (T,) of the next ids: text without `<s>`, in which documents begin at `starts`, ascending.

        Ids before the first of `starts` continue the open document.
        """
        at_once = max(1, TOKENS_AT_ONCE // max(1, len(self._inserted)))  # documents
        groups = [starts[first : first + at_once] for first in range(0, max(1, len(starts)), at_once)]
        begins = [0, *(group[0] for group in groups[1:])]
        nats = []
        for group, (begin, end) in zip(groups, pairwise([*begins, len(ids)]), strict=True):
            nats.append(self._next_nats(ids[begin:end].astype(np.int64), [start - begin for start in group]))
        return np.concatenate(nats)

    def _next_nats(self, ids: npt.NDArray[np.int64], starts: Sequence[int]) -> Nats:
        """The same for as many documents as are read together."""
        goes_on = not starts or starts[0] > 0
        if not goes_on:
            self._scored, self._tail, self._state = 0, ids[:0], None
        held, offset, inserted = len(self._tail), self._scored - len(self._tail), len(self._inserted)
        if inserted and starts:
            ids = np.insert(ids, np.repeat(starts, inserted), np.tile(self._inserted, len(starts)))
        text = np.concatenate([self._tail, ids]) if held else ids
        begins = [held + start + place * inserted for place, start in enumerate(starts)]
        unscored = [begin + inserted for begin in begins]
        if goes_on:
            begins, unscored = [0, *begins], [held, *unscored]
        rows = [Window(*row) for row in zip(begins, unscored, [*begins[1:], len(text)], strict=True)]
        nats = np.empty(len(text), np.float32)
        if self._context:
            self._slide(text, rows, offset, nats)
        else:
            self._carry(text, rows, nats)
        last = rows[-1]
        self._scored = last.stop - last.start + (offset if len(rows) == 1 else 0)
        self._tail = text[max(last.start, last.stop - max(1, self._context)) :]
        return np.concatenate([nats[row.score_from : row.stop] for row in rows])

    def _slide(self, text: npt.NDArray[np.int64], documents: list[Window], offset: int, nats: Nats) -> None:
        """Score in windows; `offset` tokens of the first document came before `text`."""
        rows: list[Window] = []
        for begin, score_from, stop in documents:
            shift = begin - offset
            for window in windows(score_from - shift, stop - shift, self._context, self._stride):
                rows.append(Window(window.start + shift, window.score_from + shift, window.stop + shift))
            offset = 0
        for batch in self._batches(rows):
            self._read(text, batch, nats)

    def _carry(self, text: npt.NDArray[np.int64], rows: list[Window], nats: Nats) -> None:
        """Score with a state carried through each document, and keep the state of the last one."""
        first = rows[0]
        if first.score_from > first.start:
            rows = rows[1:]
            if first.stop > first.score_from:
                going_on = [Window(first.score_from, first.score_from, first.stop)]
                self._state = self._read(text, going_on, nats, first.stop, self._state, text[0])
        if not rows:
            return
        self._state = None
        for batch in self._batches([row for row in rows if row.stop > row.start]):
            state = self._read(text, batch, nats, len(text), *self._behind_given(len(batch)))
            self._state = self._state if state is None else state

    def _behind_given(self, rows: int) -> tuple[State | None, int | None]:
        """The state before the last given token is read, for so many rows, and that token; None twice without any."""
        if not len(self._given):
            return None, None
        if self._given_state is None:
            unused, whole = np.empty(len(self._given), np.float32), Window(0, 0, len(self._given))
            self._given_state = self._read(self._given, [whole], unused, len(self._given))
            assert self._given_state is not None
        everywhere = torch.zeros(rows, dtype=torch.int64, device=self._model.device)
        return take_rows(self._given_state, everywhere), int(self._given[-1])

    def _batches(self, rows: list[Window]) -> Iterator[list[Window]]:
        """Batches of rows of similar length, the longest first."""
        rows = sorted(rows, key=lambda row: row.start - row.stop)
        while rows:
            longest = rows[0].stop - rows[0].start
            most = TOKENS_AT_ONCE if not self._context else self._call_tokens()
            count = max(1, min(self._batch_size, most // longest))
            yield rows[:count]
            rows = rows[count:]

    def _call_tokens(self) -> int:
        logits = CALL_LOGITS if self._model.device.type == "cpu" else ACCELERATOR_LOGITS
        return max(1, min(CALL_TOKENS, logits // self._model.numbers_per_token))

    def _read(
        self,
        text: npt.NDArray[np.int64],
        rows: list[Window],
        nats: Nats,
        kept: int = -1,
        state: State | None = None,
        before: int | None = None,
    ) -> State | None:
        """Read rows side by side, the longest first, and write the nats of the tokens they score into `nats`.

        `before` (or `<s>`) is read first in each. Returns the state of the row that stops at `kept`, before its last
        token is read; None where no row does.
        """
        lengths = [row.stop - row.start for row in rows]
        ids_BT = self._side_by_side(text, rows, before)
        nats_BT = torch.empty((len(rows), lengths[0]), dtype=torch.float32, device=self._model.device)
        keep = next((place for place, row in enumerate(rows) if row.stop == kept), None)
        kept_state = None
        position, going = 0, len(rows)
        while position < lengths[0]:
            until = min(lengths[0], position + max(1, self._call_tokens() // going))
            if keep is not None and position < lengths[keep]:
                until = min(until, lengths[keep])
            ids, targets = ids_BT[:going, position:until], ids_BT[:going, position + 1 : until + 1]
            nats_BT[:going, position:until], state = self._model.next_nats(ids, targets, state)
            if keep is not None and until == lengths[keep]:
                kept_state = rows_of(state, slice(keep, keep + 1))
            position = until
            while going and lengths[going - 1] <= position:
                going -= 1
            state = rows_of(state, slice(going))
        for row, length, nats_T in zip(rows, lengths, nats_BT.cpu().numpy(), strict=True):
            nats[row.score_from : row.stop] = nats_T[row.score_from - row.start : length]
        return kept_state

    def _side_by_side(self, text: npt.NDArray[np.int64], rows: list[Window], before: int | None) -> Tensor:
        """The ids of rows behind `before` (or `<s>`), padded to the length of the first, (B, 1 + T)."""
        ids_BT = np.zeros((len(rows), 1 + rows[0].stop - rows[0].start), dtype=np.int64)
        ids_BT[:, 0] = self._model.begin_id if before is None else before
        for ids_T, row in zip(ids_BT, rows, strict=True):
            ids_T[1 : 1 + row.stop - row.start] = text[row.start : row.stop]
        return torch.from_numpy(ids_BT).to(self._model.device)


def score_documents(
    model: Predictor,
    documents: Iterable[Document],
    *,
    batch_size: int = EvalConfig.batch_size,
    context: int = 0,
    stride: int = 0,
) -> Iterator[Scored]:
    """Yield the nats of the tokens of each document, in order, those of a long document in several parts.

    The documents are without `<s>`. Memory is bounded: about TOKENS_AT_ONCE tokens are held at a time. UsageError when
    `context` or `stride` do not fit the model.
    """
    scorer = Scorer(model, batch_size=batch_size, context=context, stride=stride)
    held: list[_DocumentPart] = []
    tokens = 0
    for document in documents:
        for start in range(0, max(1, len(document)), TOKENS_AT_ONCE):
            ids = document[start : start + TOKENS_AT_ONCE]
            held.append(_DocumentPart(ids, start == 0, start + TOKENS_AT_ONCE >= len(document)))
            tokens += len(ids)
            if tokens >= TOKENS_AT_ONCE or len(held) >= TOKENS_AT_ONCE:
                yield from _scored(scorer, held)
                held, tokens = [], 0
    yield from _scored(scorer, held)


class _DocumentPart(NamedTuple):
    """Consecutive ids of a document, which they begin or end."""

    ids: npt.NDArray[np.unsignedinteger]
    begins: bool
    ends: bool


def _scored(scorer: Scorer, parts: list[_DocumentPart]) -> Iterator[Scored]:
    if not parts:
        return
    stops = list(accumulate(len(part.ids) for part in parts))
    starts = [stop - len(part.ids) for stop, part in zip(stops, parts, strict=True) if part.begins]
    nats = scorer.score(np.concatenate([part.ids for part in parts]), starts)
    for stop, part in zip(stops, parts, strict=True):
        yield Scored(nats[stop - len(part.ids) : stop], part.ends)
