"""Random splits: always the same text, the best split where nothing is random, and the probabilities of the papers."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.subword_sampling import SubwordSampler, draw_split, merge_with_dropout
from seqtool.text.vocabulary import Vocabulary
from tests.conftest import ODD_STRINGS


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def vocabulary(request: pytest.FixtureRequest, prose_file: Path) -> Vocabulary:
    return learn_vocabulary(TextSource([str(prose_file)]), VocabularyConfig(type=request.param, size=600))


@pytest.mark.parametrize("text", ODD_STRINGS)
def test_every_split_is_the_same_text(vocabulary: Vocabulary, text: str):
    for share in (0.1, 0.9):
        assert vocabulary.decode(SubwordSampler(vocabulary, share, [0]).encode(text[:2000]).tolist()) == text[:2000]


def test_without_dropout_merges_are_those_of_sentencepiece(vocabulary: Vocabulary, prose: str):
    text = " ".join(prose.split())[:3000]  # a run of spaces may merge with what follows there, and not here
    if vocabulary.type == "bpe":
        assert SubwordSampler(vocabulary, 0.0, [0]).encode(text).tolist() == vocabulary.encode(text).tolist()
    else:  # a large share leaves only the likeliest split
        sampled = SubwordSampler(vocabulary, 200.0, [0]).encode(text)
        assert len(sampled) == len(vocabulary.encode(text))


def test_splits_differ_and_depend_on_the_seed_alone(vocabulary: Vocabulary, prose: str):
    one, two, other = (SubwordSampler(vocabulary, 0.1, [seed]).encode(prose[:5000]).tolist() for seed in (0, 0, 1))
    assert one == two
    assert one != other
    assert len(one) > len(vocabulary.encode(prose[:5000]))


def test_unigram_splits_have_the_probabilities_of_the_paper():
    scores, share = {"a": -2.0, "b": -3.0, "ab": -3.5, "ba": -2.5, "aba": -6.0}, 0.5
    text = "abab"
    splits = {}
    for cuts in itertools.product((0, 1), repeat=3):
        bounds = [0, *(place + 1 for place, cut in enumerate(cuts) if cut), 4]
        pieces = tuple(text[begin:end] for begin, end in itertools.pairwise(bounds))
        if all(piece in scores for piece in pieces):
            splits[pieces] = math.exp(share * sum(scores[piece] for piece in pieces))
    random = np.random.default_rng(0)
    drawn = Counter(tuple(draw_split(text, scores, 3, share, random)) for _ in range(20_000))
    assert set(drawn) <= set(splits)
    for pieces, weight in splits.items():
        assert drawn[pieces] / 20_000 == pytest.approx(weight / sum(splits.values()), abs=0.015)


def test_bpe_dropout_of_everything_leaves_characters():
    scores = {"ab": -1.0, "abc": -2.0}
    random = np.random.default_rng(0)
    assert merge_with_dropout(list("abcab"), scores, 1.0, random) == list("abcab")
    assert merge_with_dropout(list("abcab"), scores, 0.0, random) == ["abc", "ab"]
