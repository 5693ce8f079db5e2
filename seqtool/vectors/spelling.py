"""Suggestions for a word that has no vector: tokens with a similar spelling."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np

from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors

MOST_SHOWN = 3
ALPHABET_TOKENS = 5_000
ALPHABET_SIZE = 64
EDITED_CHARACTERS = 40  # a longer text is hardly a word, and has many edits
COMPARED_TOKENS = 50_000
COMPARED_CLOSELY = 300
LEAST_RATIO = 0.7  # of difflib


def mend(vectors: Vectors, word: str) -> str:
    """What to do where a word has no vector: words with a similar spelling, or how to give unseen words vectors."""
    near = near_in_spelling(vectors.tokens, word)
    if near:
        return f"near in spelling {'is' if len(near) == 1 else 'are'} {', '.join(near)}"
    return mend_of_unseen(vectors)


def mend_of_unseen(vectors: Vectors) -> str:
    """What to do where any word has no vector: check its spelling, or train vectors for unseen words."""
    if vectors.metadata.get("vocabulary_type") == "word" and not len(vectors.ngrams_BD):
        return "check the spelling, or train with --subword, which gives unseen words vectors too"
    return "check the spelling"


def near_in_spelling(tokens: TokenTable, word: str) -> list[str]:
    """At most MOST_SHOWN tokens, the most frequent first: case variants, then one edit away, then by difflib."""
    rows: dict[int, None] = {}
    for stage in (_case_variants, _one_edit_away, _similar):
        found = stage(tokens, word)
        rows |= dict.fromkeys(found)
        if len(rows) >= MOST_SHOWN:
            break
    return [tokens[row] for row in sorted(list(rows)[:MOST_SHOWN])]


def _case_variants(tokens: TokenTable, word: str) -> list[int]:
    return _rows(tokens, (word.lower(), word.upper(), word.capitalize(), word.title(), word.casefold()))


def _one_edit_away(tokens: TokenTable, word: str) -> list[int]:
    """Rows of the tokens at one deletion, transposition, substitution or insertion from a word."""
    if len(word) > EDITED_CHARACTERS:
        return []
    counts = Counter("".join(tokens[row] for row in range(min(ALPHABET_TOKENS, len(tokens)))))
    return _rows(tokens, _edits(word, [character for character, _ in counts.most_common(ALPHABET_SIZE)]))


def _edits(word: str, alphabet: list[str]) -> Iterator[str]:
    for place in range(len(word) + 1):
        before, after = word[:place], word[place:]
        if after:
            yield before + after[1:]
            yield from (before + character + after[1:] for character in alphabet)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        yield from (before + character + after for character in alphabet)


def _rows(tokens: TokenTable, candidates: Iterable[str]) -> list[int]:
    rows = (tokens.find(candidate) for candidate in dict.fromkeys(candidates) if candidate)
    return sorted(row for row in rows if row is not None)


def _similar(tokens: TokenTable, word: str) -> list[int]:
    """Rows of frequent tokens that difflib finds similar, the most similar first.

    Only those that share the most bytes are compared, as the bytes in common bound the ratio from above.
    """
    spelled = np.frombuffer(word.encode("utf-8", "surrogatepass"), np.uint8)
    ends = tokens.ends[:COMPARED_TOKENS]
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    text = tokens.text[: int(ends[-1])]
    common = np.zeros(len(ends), np.int64)
    for byte, count in Counter(spelled.tolist()).items():
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(text == byte)])
        common += np.minimum(before[ends] - before[starts], count)
    bounds = 2 * common / np.maximum(ends - starts + len(spelled), 1)
    likeliest = np.argsort(-bounds, kind="stable")[:COMPARED_CLOSELY]
    matcher = difflib.SequenceMatcher(autojunk=False)
    matcher.set_seq2(word[: 2 * EDITED_CHARACTERS])
    ratios: dict[int, float] = {}
    for row in likeliest[bounds[likeliest] >= LEAST_RATIO].tolist():
        matcher.set_seq1(tokens[row][: 2 * EDITED_CHARACTERS])
        ratios[row] = matcher.ratio()
    return sorted((row for row in ratios if ratios[row] >= LEAST_RATIO), key=lambda row: (-ratios[row], row))
