from __future__ import annotations

import itertools
import math
from collections import Counter

import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline

from corpora import sentiment
from tests.corpora.recipe import made

PRAISE = {word for token, words in sentiment.WORDS.items() if token[1] is True for word in words}
TURNS = {"not", "hardly", "far", "never", "fails"}


def read(text: str) -> str:
    """The sentiment as a reader finds it: the clause that counts, and in it praise or blame, turned by each negation."""
    first, _, second = text.partition(" , ")
    if first.startswith("although ") or second.startswith(("but ", "and ")):
        first = second
    words = first.split()
    praises = bool(PRAISE & set(words))
    return "positive" if praises ^ (sum(word in TURNS for word in words) % 2) else "negative"


def rows(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Labels and texts."""
    header, *lines = made("sentiment", "--rows", count, "--seed", seed)[0]
    assert header == "label\ttext"
    assert len(lines) == count
    labels, texts = zip(*(line.split("\t") for line in lines), strict=True)
    return list(labels), list(texts)


def test_who_reads_the_words_in_order_is_always_right():
    labels, texts = rows(4000, 3)
    assert [read(text) for text in texts] == labels
    assert len(set(texts)) > 3000


def test_the_best_of_a_bag_is_that_of_all_sentences_of_a_small_lexicon(monkeypatch: pytest.MonkeyPatch):
    """The words of every sentence are written out and counted: no argument by classes of words."""
    for token in list(sentiment.WORDS):
        monkeypatch.setitem(sentiment.WORDS, token, sentiment.WORDS[token][: 2 if "ADJECTIVE" in token else 1])
    bags: dict[tuple[str, ...], Counter[str]] = {}
    for label, name in sentiment.LABELS.items():
        for tokens, p in sentiment.forms("REVIEW", label).items():
            choices = [sentiment.WORDS.get(token, [token]) for token in tokens]
            share = p / 2 / math.prod(map(len, choices))
            for words in itertools.product(*choices):
                assert read(" ".join(words)) == name
                bags.setdefault(tuple(sorted(words)), Counter())[name] += share  # type: ignore[assignment]
    assert sum(sum(counts.values()) for counts in bags.values()) == pytest.approx(1)
    assert sum(max(counts.values()) for counts in bags.values()) == pytest.approx(sentiment.best_of_bag(), abs=1e-12)


@pytest.mark.slow
def test_bags_reach_what_is_said_and_not_more():
    train_labels, train = rows(20_000, 1)
    labels, texts = rows(10_000, 2)
    _, figures = made("sentiment", "--rows", 10_000, "--seed", 2)
    (best,), (on_rows,) = (figures[f"best of any bag of words, {where}"] for where in ("expected", "on these rows"))
    luck = 3 * math.sqrt(best * (1 - best) / 10_000)
    assert on_rows == pytest.approx(best, abs=luck)
    linear = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=1000))
    layers = make_pipeline(CountVectorizer(), MLPClassifier((32,), early_stopping=True, random_state=0, max_iter=30))
    by_sum, by_layers = (model.fit(train, train_labels).score(texts, labels) for model in (linear, layers))
    print(f"\nbest bag {best}, on these rows {on_rows}; linear {by_sum:.4f}, with a hidden layer {by_layers:.4f}")
    assert 0.5 + luck < by_sum < best - 0.02
    assert by_sum < by_layers < best + luck
    assert by_layers > best - 0.03
