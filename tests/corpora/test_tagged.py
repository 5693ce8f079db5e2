from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest

from corpora import grammar, tagged
from tests.corpora.recipe import made
from tests.corpora.test_recipes import derivations

Sentence = list[tuple[str, str]]  # words and tags


def sentences(lines: list[str]) -> list[Sentence]:
    """The words and tags of CoNLL-U."""
    found: list[Sentence] = [[]]
    for line in lines:
        if line:
            number, word, _, tag, *rest = line.split("\t")
            assert rest == ["_"] * 6
            found[-1].append((word, tag))
            assert int(number) == len(found[-1])
        else:
            found.append([])
    assert found.pop() == []  # an empty line ends each
    return found


def tags_so_far(words: list[str]) -> Iterator[dict[str, float]]:
    """The probability of each tag of each word given the words up to it: all partial leftmost derivations, weighed."""
    states = {(("", "S"),): 1.0}  # what is still to rewrite, each with the symbol whose rule it stands in
    for word in words:
        after: defaultdict[tuple[tuple[str, str], ...], float] = defaultdict(float)
        tags: Counter[str] = Counter()
        pending = list(states.items())
        while pending:
            ((parent, symbol), *rest), p = pending.pop()
            if symbol in tagged.AMBIGUOUS:
                pending += [
                    ((*((symbol, part) for part in body), *rest), p * q) for q, body in tagged.AMBIGUOUS[symbol]
                ]
            elif symbol == word:
                after[tuple(rest)] += p
                tags[tagged.TAGS[parent]] += p  # type: ignore[assignment]
        states = dict(after)
        yield {tag: p / tags.total() for tag, p in tags.items()}


def test_each_sentence_has_one_derivation(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(grammar, "GRAMMAR", tagged.AMBIGUOUS)
    for sentence in tagged.drawn(100, 0):
        ways, _ = derivations(tuple(word for word, _ in sentence))
        assert ways == 1


def test_the_best_from_left_to_right_is_that_of_all_derivations():
    lines, figures = made("tagged", "--rows", 3000, "--seed", 4)
    found = sentences(lines)
    assert len(found) == 3000
    right = total = 0
    expected = 0.0
    for sentence in found:
        for (word, tag), likely in zip(sentence, tags_so_far([word for word, _ in sentence]), strict=True):
            assert len(likely) == 1 or word in ("light", "cold"), sentence
            total += 1
            right += max(likely, key=likely.__getitem__) == tag
            expected += max(likely.values())
    assert figures["best from left to right, on these rows"] == pytest.approx([right / total], abs=6e-5)
    assert figures["best from left to right, expected"] == pytest.approx([expected / total], abs=0.002)


@pytest.mark.slow
def test_the_most_frequent_tags_are_those_of_a_large_text():
    train = sentences(made("tagged", "--rows", 20_000, "--seed", 1)[0])
    lines, figures = made("tagged", "--rows", 5000, "--seed", 2)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for sentence in train:
        for word, tag in sentence:
            counts[word][tag] += 1
    assert sum(len(tags) > 1 for tags in counts.values()) == 7
    tokens = [token for sentence in sentences(lines) for token in sentence]
    accuracy = sum(counts[word].most_common(1)[0][0] == tag for word, tag in tokens) / len(tokens)
    assert figures["most frequent tag of a word, on these rows"] == pytest.approx([accuracy], abs=6e-5)
    assert figures["most frequent tag of a word, expected"] == pytest.approx([accuracy], abs=0.006)
