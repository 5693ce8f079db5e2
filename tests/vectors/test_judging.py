"""Judging vectors: Spearman's correlation and accuracy on analogies, against the same by hand or question by question."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.vectors.judging import Analogies, Pair, Question, Similarities, spearman
from seqtool.vectors.neighbours import Space
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors


def test_spearman_by_hand():
    x = np.array([1.0, 2, 2, 3, 10])  # ranks 1, 2.5, 2.5, 4, 5
    y = np.array([5.0, 1, 4, 4, 9])  # ranks 4, 1, 2.5, 2.5, 5
    # deviations -2, -.5, -.5, 1, 2 and 1, -2, -.5, -.5, 2: sum of products -2 + 1 + .25 - .5 + 4 = 2.75, of squares 9.5 each
    assert spearman(x, y) == pytest.approx(2.75 / 9.5)
    assert spearman(x, -x) == pytest.approx(-1)
    assert spearman(x, np.ones(5)) is None
    assert spearman(np.array([]), np.array([])) is None


@pytest.fixture
def space() -> Space:
    """Two roles: `c` words are their `k` words and one step."""
    random = np.random.default_rng(0)
    things, step = random.normal(size=(20, 30)), random.normal(size=30) / 2
    matrix = np.stack([things, things + step], axis=1).reshape(40, 30)
    names = [name for i in range(20) for name in (f"k{i}", f"c{i}")]
    return Space(Vectors(TokenTable.of(names), matrix.astype(np.float32), {}))


def test_accuracy_is_what_question_by_question_gives(space: Space):
    questions = [
        Question(f"k{i}", (f"c{i}",), f"K{j}", (f"c{j}" if (i + j) % 3 else "k0",))
        for i in range(20)
        for j in range(20)
        if i != j
    ]
    unknown = Question("k0", ("c0",), "k99", ("c99",))
    units = space.units(range(40))
    correct = 0
    for a, (b,), c, (d,) in questions:
        rows = [space.vectors.tokens.find(word.lower()) for word in (a, b, c, d)]
        scores = units @ (units[rows[1]] - units[rows[0]] + units[rows[2]])
        scores[rows[:3]] = -9
        correct += int(scores.argmax()) == rows[3]
    assert 0 < correct < len(questions)
    report = Analogies({"x": [*questions, unknown], "none": [unknown]}).judge(space)
    assert (report["questions"], report["covered"], report["correct"]) == (382, 380, correct)
    assert report["accuracy"] == correct / 380
    assert report["coverage"] == 380 / 382
    assert report["sections"][0]["accuracy"] == correct / 380
    assert report["sections"][1]["accuracy"] is None


def test_the_most_frequent_tokens_alone_can_be_asked(space: Space):
    questions = [Question("k0", ("c0",), f"k{i}", (f"c{i}",)) for i in range(1, 20)]
    assert Analogies({"x": questions}).judge(space, top=10)["covered"] == 4


def test_any_of_the_answers_will_do(space: Space):
    analogies = Analogies({"x": [Question("k0", ("none", "c0"), "k1", ("never", "c1"))]})
    assert analogies.judge(space)["correct"] == 1


def test_words_without_vectors_are_listed_once(space: Space):
    pairs = [Pair("k0", "love-n", 1), Pair("love-n", "K0 c0", 2), Pair("k0 hate-n", "C1", 3)]
    assert Similarities(pairs).unknown(space) == ["love-n", "k0 hate-n"]
    questions = [Question("K0", ("x", "c0"), "y", ("x", "c1")), Question("k0", ("c0",), "k1", ("z",))]
    assert Analogies({"a": questions[:1], "b": questions[1:]}).unknown(space) == ["x", "y", "z"]


def test_similarity_counts_what_is_covered(space: Space):
    pairs = [Pair("k0", f"k{i}", float(i)) for i in range(1, 10)]
    units = space.units([2 * i for i in range(10)])
    report = Similarities([*pairs, Pair("k0", "nothing", 3.0), Pair("K0 c0", "k3", 20.0)]).judge(space)
    assert (report["pairs"], report["covered"]) == (11, 10)
    between = space.query("k0 c0").unit_D @ units[3]
    cosines = np.append(units[1:] @ units[0], between)
    assert report["spearman"] == pytest.approx(np.corrcoef(cosines.argsort().argsort(), range(10))[0, 1])
