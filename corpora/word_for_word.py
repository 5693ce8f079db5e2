"""Sentences and their translations word for word, as english<TAB>hsilgne: how long a sentence does one vector hold?

    python -m corpora.word_for_word > train.tsv
    python -m corpora.word_for_word --rows 600 --seed 1 > test.tsv

A sentence has 1 to LONGEST words, as often as each other, drawn one by one from WORDS; its translation has the same
words in the same order, each spelled backwards. There is nothing to know but the words and to keep them in order, so
all can be told; what is hard is that a sentence says nothing about its other words: none can be guessed.

Printed on stderr: the share of words that is possible, which is 1, and that of the commonest word on the rows written.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator

from corpora.recipe import asked, run

WORDS = (
    "red", "green", "blue", "white", "black", "small", "large", "old", "young", "quick", "slow", "warm", "cold", "cat",
    "dog", "bird", "horse", "fish", "tree", "river", "stone", "house", "garden", "window", "letter", "book", "song",
    "bread", "water", "light", "sings", "sleeps", "runs", "falls", "waits", "grows", "stays", "turns", "finds", "asks",
)  # fmt: skip
LONGEST = 24


def drawn(rows: int, seed: int) -> Iterator[tuple[str, ...]]:
    """The words of so many sentences."""
    chance = random.Random(seed)
    for _ in range(rows):
        yield tuple(chance.choices(WORDS, k=chance.randint(1, LONGEST)))


def translation(words: tuple[str, ...]) -> str:
    """Each word spelled backwards, in the same order."""
    return " ".join(word[::-1] for word in words)


def main() -> None:
    """Write the pairs, and say on stderr how well they can be told."""
    options = asked("Sentences and their translations word for word, as tsv.", 8000)
    print("english\thsilgne")
    counts: Counter[str] = Counter()
    for words in drawn(options.rows, options.seed):
        counts.update(words)
        print(f"{' '.join(words)}\t{translation(words)}")
    (_, commonest), *_ = counts.most_common(1)
    print("best possible  share of words 1.0000", file=sys.stderr)
    print(f"commonest word  share of words {commonest / counts.total():.4f}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
