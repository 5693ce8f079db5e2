"""Scoring by gates that go on learning: each token is scored first, and what it was is counted then.

Counts learn of every order, and matches are found in what was read. The nets among the models stay as they are. As each
token is scored once, by what came before it alone, figures of this kind are called adapted: they do not compare with
static ones.

Shapes: T tokens, V vocabulary, E models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
import torch

from seqtool.counts.gates.gates import Float32, Gates
from seqtool.models.gated import Gated
from seqtool.models.state import State
from seqtool.scoring.scorer import Nats, Window, check_window, document_parts, windows

LOGITS_AT_ONCE = 1 << 22  # numbers that all models together give for the tokens of a call
WINDOWS_AT_ONCE = 32


class LearningScorer:
    """Scores a text as it arrives, as `Scorer` does, one document after the other, and lets `gates` learn from it.

    What is scored is what the gates say alone. What was learned goes on from document to document; the state begins
    anew with each. Without `speaking` the models say nothing: of what they learned from they would be too sure.
    """

    def __init__(self, model: Gated, gates: Gates, *, context: int = 0, stride: int = 0, speaking: bool = True) -> None:
        self._models, self._gates, self._speaking, self._weights = model.all, gates, speaking, model.weights
        self._context, self._stride = check_window(model, context, stride)
        self._at_once = max(1, LOGITS_AT_ONCE // max(1, len(model.all.models) * model.vocab_size))
        self._begin_document()

    def _begin_document(self) -> None:
        self._scored, self._tail = 0, np.empty(0, np.int64)  # tokens of the document, and the end of them
        self._state: State | None = None  # of the models, before the last token
        self._before = self._gates.begin_id  # that token
        self._gates_state = self._gates.begin(1)[0]

    @torch.inference_mode()
    def score(self, ids: npt.NDArray[np.unsignedinteger], starts: Sequence[int]) -> Nats:
        """The nats (T,) of the next ids: text without `<s>`, in which documents begin at `starts`, ascending."""
        found = [np.empty(0, np.float32)]
        for begins, text in document_parts(ids, starts):
            if begins:
                self._begin_document()
            if not self._speaking:
                found.append(self._learn(text, [None] * self._gates.models))
            elif self._context:
                found += self._slide(text)
            else:
                found += self._carry(text)
        return np.concatenate(found)

    def finish(self) -> Gated:
        """The model with gates that have learned."""
        return Gated(self._models.models, self._gates, self._weights)

    def _learn(self, text: npt.NDArray[np.int64], log_p_ETV: Sequence[Float32 | None]) -> Nats:
        return self._gates.read(self._gates_state, text, log_p_ETV, learn=True)

    def _carry(self, text: npt.NDArray[np.int64]) -> Iterator[Nats]:
        """With a state that is carried through the document."""
        for start in range(0, len(text), self._at_once):
            part = text[start : start + self._at_once]
            ids_BT = torch.from_numpy(np.concatenate([[self._before], part[:-1]])[None])
            told, self._state = self._models.log_p(ids_BT, self._state)
            self._before = int(part[-1])
            yield self._learn(part, [one[0].cpu().numpy() for one in told])

    def _slide(self, text: npt.NDArray[np.int64]) -> Iterator[Nats]:
        """In windows, of which those of one length are read side by side."""
        known = np.concatenate([self._tail, text])
        first = self._scored - len(self._tail)  # place in the document of the first token that is held
        places = windows(self._scored, self._scored + len(text), self._context, self._stride)
        most = max(1, min(WINDOWS_AT_ONCE, self._at_once // self._context))
        for _, group in groupby(places, key=lambda window: window.stop - window.start):
            same = list(group)
            for start in range(0, len(same), most):
                yield from self._read_windows(known, first, same[start : start + most])
        self._scored += len(text)
        self._tail = known[-self._context :]

    def _read_windows(self, known: npt.NDArray[np.int64], first: int, same: list[Window]) -> Iterator[Nats]:
        rows = [
            np.concatenate([[self._gates.begin_id], known[window.start - first : window.stop - 1 - first]])
            for window in same
        ]
        told, _ = self._models.log_p(torch.from_numpy(np.stack(rows)), None)
        for row, window in enumerate(same):
            count = window.stop - window.score_from
            text = known[window.score_from - first : window.stop - first]
            yield self._learn(text, [one[row, -count:].cpu().numpy() for one in told])
