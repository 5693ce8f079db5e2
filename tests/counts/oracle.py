"""The same equations by dictionaries, as they are written: slow, and easy to see through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

Gram = tuple[int, ...]


class Oracle:
    """Interpolated modified Kneser-Ney of some documents, each a list of ids."""

    def __init__(
        self, documents: Sequence[Sequence[int]], vocab_size: int, begin: int, order: int, prune: Sequence[int] = ()
    ) -> None:
        self.vocab_size, self.begin, self.order = vocab_size, begin, order
        self.raw: list[Counter[Gram]] = [Counter() for _ in range(order + 2)]
        for number, document in enumerate(documents):
            padded = [begin, *document, *([begin] if number < len(documents) - 1 else [])]
            for end in range(1, len(padded)):
                for k in range(1, min(order, end + 1) + 1):
                    self.raw[k][tuple(padded[end - k + 1 : end + 1])] += 1
        least = [*prune[:order], *[prune[-1] if prune else 0] * (order - len(prune))]
        self.least = [0, *least]
        self.adjusted = [Counter[Gram]() for _ in range(order + 1)]
        for k in range(1, order + 1):
            before: Counter[Gram] = Counter()
            if k < order:
                before.update(gram[1:] for gram in self.raw[k + 1])
            for gram, count in self.raw[k].items():
                stays = k == order or (k > 1 and gram[0] == begin)
                self.adjusted[k][gram] = count if stays else before[gram]
        self.discounts = [(), *(self.discount(k) for k in range(1, order + 1))]

    def discount(self, k: int) -> tuple[float, ...]:
        n = Counter(count for gram, count in self.adjusted[k].items() if gram[-1] != self.begin)
        if not (n[1] and n[2] and n[3]):
            return 0.0, 0.5, 1.0, 1.5
        y = n[1] / (n[1] + 2 * n[2])
        found = [j - (j + 1) * y * n[j + 1] / n[j] for j in (1, 2, 3)]
        return (0.0, *found) if all(0 < d <= j for j, d in enumerate(found, 1)) else (0.0, 0.5, 1.0, 1.5)

    def p(self, context: Sequence[int], token: int) -> float:
        """p(token | the last N-1 of `context`)."""
        return self._p(tuple(context)[len(context) - min(len(context), self.order - 1) :], token)

    def _p(self, context: Gram, token: int) -> float:
        k = len(context) + 1
        adjusted, taken = self.adjusted[k], self.discounts[k]
        if k == 1:
            total = sum(adjusted.values())
            seen = {gram[0] for gram in adjusted}
            others = [v for v in range(self.vocab_size) if v not in seen and v != self.begin]
            left = sum(taken[min(count, 3)] for count in adjusted.values()) / total / (len(seen) + bool(others))
            if token in seen:
                count = adjusted[token,]
                return (count - taken[min(count, 3)]) / total + left
            return left / len(others) if token in others else 0.0
        going_on = {gram: count for gram, count in adjusted.items() if gram[:-1] == context}
        if not going_on:
            return self._p(context[1:], token)
        kept = {gram: count for gram, count in going_on.items() if self.raw[k][gram] > self.least[k]}
        total = sum(going_on.values())
        left = sum(taken[min(count, 3)] if gram in kept else count for gram, count in going_on.items()) / total
        count = kept.get((*context, token), 0)
        return (count - taken[min(count, 3)]) / total + left * self._p(context[1:], token)


def hostile_documents(seed: int, vocab_size: int, begin: int) -> list[list[int]]:
    """Texts that repeat themselves, are empty, of one token, and have symbols that occur once; some never occur."""
    random = np.random.default_rng(seed)
    symbols = [v for v in range(vocab_size - 3) if v != begin]
    phrase = random.choice(symbols, 6).tolist()
    documents = [
        phrase * 4,
        [],
        [symbols[0]] * 9,
        phrase[:3],
        random.choice(symbols, 40).tolist(),
        [symbols[-1]],
        phrase,
    ]
    documents += [random.choice(symbols[:4], size).tolist() for size in (1, 2, 3, 12, 25)]
    return [*documents, phrase[:5] + phrase]


def joined(documents: Sequence[Sequence[int]], begin: int) -> np.ndarray:
    """Their ids, `<s>` before each."""
    return np.array([token for document in documents for token in (begin, *document)])
