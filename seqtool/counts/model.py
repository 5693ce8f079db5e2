"""An n-gram model with back-off: log p of any text, and of all next symbols at once, from sorted arrays.

The n-grams of k tokens are numbered in the order of (the number of the one without its last token, that last token).
So those that go on from one lie together: `firsts` says where, and a token is found among them by bisection.

    log p(w | c) = log p[cw]                         where there is an n-gram cw,
                   backoff[c] + log p(w | c')        else; c' is c without its first token

and backoff[c] = 0 where there is no n-gram c. What a model remembers of a text are the numbers of the n-grams of
1, 2, … N-1 tokens that end it, -1 where there is none: its contexts.

Shapes: B texts side by side, T tokens, V vocabulary, K = N-1 lengths of contexts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.counts.children import Int64, find_children

Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]


class NgramModel:
    """p(next token | the N-1 tokens before it).

    For order k: `tokens[k-2]` are the last tokens of its n-grams, and those that go on from n-gram i of order k-1 are
    `firsts[k-2][i]` up to `firsts[k-2][i + 1]`; `log_p[k-1]` and `backoffs[k-1]`, the last order without the latter.
    Every symbol is an n-gram of order 1, numbered by its id.
    """

    def __init__(
        self,
        begin_id: int,
        tokens: Sequence[Int32],
        firsts: Sequence[Int32],
        log_p: Sequence[Float64],
        backoffs: Sequence[Float64],
    ) -> None:
        self.begin_id, self.vocab_size, self.order = begin_id, len(log_p[0]), len(log_p)
        self.tokens, self.firsts, self.log_p, self.backoffs = tokens, firsts, log_p, backoffs

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many n-grams there are of each order."""
        return tuple(map(len, self.log_p))

    def no_contexts(self, rows: int) -> Int64:
        """The contexts of texts that have not begun, (B, K)."""
        return np.full((rows, self.order - 1), -1, np.int64)

    def advance(self, contexts_BK: Int64, ids_B: Int64) -> Int64:
        """The contexts after one more token of each text, (B, K); -1 stands for no token."""
        after_BK = self.no_contexts(len(ids_B))
        after_BK[:, :1] = ids_B[:, None]
        # Row by row: most texts are generated one at a time, and for these numpy would take six times as long.
        for row, (contexts_K, token) in enumerate(zip(contexts_BK.tolist(), ids_B.tolist(), strict=True)):
            for k, parent in enumerate(contexts_K[:-1], start=2):
                if parent < 0 or token < 0:
                    continue
                first, stop = self.firsts[k - 2][parent : parent + 2].tolist()
                siblings = self.tokens[k - 2][first:stop]
                place = int(siblings.searchsorted(token))
                if place < len(siblings) and siblings[place] == token:
                    after_BK[row, k - 1] = first + place
        return after_BK

    def next_log_p(self, contexts_BK: Int64) -> Float64:
        """log p of all symbols after these contexts, (B, V)."""
        log_p_BV = np.tile(self.log_p[0], (len(contexts_BK), 1))
        for log_p_V, contexts_K in zip(log_p_BV, contexts_BK.tolist(), strict=True):
            for k, context in enumerate(contexts_K, start=2):
                if context < 0:
                    continue
                log_p_V += self.backoffs[k - 2][context]
                first, stop = self.firsts[k - 2][context : context + 2].tolist()
                log_p_V[self.tokens[k - 2][first:stop]] = self.log_p[k - 1][first:stop]
        return log_p_BV

    def score(self, ids_BT: Int64, targets_BT: Int64, contexts_BK: Int64) -> Scored:
        """log p of the token after each of `ids`, (B, T), and the contexts after the last of these.

        The targets are the ids themselves one place on, and what comes last.
        """
        if not np.array_equal(ids_BT[:, 1:], targets_BT[:, :-1]):  # other tokens are asked for than those that follow
            parts = []
            for t in range(ids_BT.shape[1]):
                part, contexts_BK = self.score(ids_BT[:, t : t + 1], targets_BT[:, t : t + 1], contexts_BK)
                parts.append(part)
            return Scored(np.concatenate(parts, axis=1), contexts_BK)
        text_BT = np.concatenate([ids_BT[:, :1], targets_BT], axis=1)  # T + 1 places, of which the first is not scored
        rows, places = text_BT.shape
        text = text_BT.ravel()
        log_p = self.log_p[0][text]
        numbers_BT, after_BK = text_BT, self.no_contexts(rows)
        for k in range(2, self.order + 1):
            after_BK[:, k - 2] = numbers_BT[:, -2]
            parents = np.concatenate([contexts_BK[:, k - 2 : k - 1], numbers_BT[:, :-1]], axis=1).ravel()
            there = np.flatnonzero(parents >= 0)
            contexts = parents[there]
            found = find_children(self.firsts[k - 2], self.tokens[k - 2], contexts, text[there])
            backed_off = log_p[there] + self.backoffs[k - 2][contexts]
            log_p[there] = np.where(found >= 0, self.log_p[k - 1][found] if len(self.log_p[k - 1]) else 0, backed_off)
            numbers = np.full(len(text), -1, np.int64)
            numbers[there] = found
            numbers_BT = numbers.reshape(rows, places)
        return Scored(log_p.reshape(rows, places)[:, 1:], after_BK)


class Scored(NamedTuple):
    """log p of tokens, (B, T), and the contexts after those that were read, (B, K)."""

    log_p_BT: Float64
    contexts_BK: Int64


READ_TOKENS = 1 << 13  # at once: what a processor's cache holds


def text_nats(model: NgramModel, ids: npt.NDArray[np.integer]) -> tuple[float, int]:
    """-log p of the tokens of documents, `<s>` before each, and how many they are; `<s>` itself does not count."""
    contexts_BK, nats, count = model.no_contexts(1), 0.0, 0
    begun = len(ids) > 0 and int(ids[0]) == model.begin_id
    text = np.concatenate([[] if begun else [model.begin_id], ids]).astype(np.int64)
    for start in range(0, len(text) - 1, READ_TOKENS):
        part = text[None, start : start + READ_TOKENS + 1]
        log_p_BT, contexts_BK = model.score(part[:, :-1], part[:, 1:], contexts_BK)
        counts = part[:, 1:] != model.begin_id
        nats -= float(log_p_BT[counts].sum())
        count += int(np.count_nonzero(counts))
    return nats, count
