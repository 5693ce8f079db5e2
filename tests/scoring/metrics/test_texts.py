"""Metrics of texts: distances by hand and by trying all, several right answers, sacrebleu's own figures."""

from __future__ import annotations

import builtins
import random

import pytest

from seqtool.errors import UsageError
from seqtool.scoring.metrics import texts
from seqtool.scoring.metrics.texts import bleu, bleu_and_chrf, edit_distance, error_counts, error_rates, has_sacrebleu


def plain_distance(one: str, other: str) -> int:
    """By its definition."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        plain_distance(one[1:], other) + 1,
        plain_distance(one, other[1:]) + 1,
        plain_distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


def test_edit_distance_is_its_definition():
    draw = random.Random(0)
    for _ in range(200):
        one, other = ("".join(draw.choices("abc", k=draw.randint(0, 5))) for _ in range(2))
        assert edit_distance(one, other) == plain_distance(one, other)


def test_the_nearest_reference_counts():
    assert error_counts("a b c", ["a b x y z w", "a c"]) == (1, 2)
    assert error_counts("", ["a"]) == (1, 1)
    assert error_rates(["a b", "c"], [["x", "a b"], ["d"]]) == {
        "exact_match": 0.5,
        "line_error_rate": 0.5,
        "word_error_rate": pytest.approx(1 / 3),
    }


def test_bleu_and_chrf_are_sacrebleus_of_the_text_as_it_is():
    sacrebleu = pytest.importorskip("sacrebleu")
    told = ["The cat sat on the mat.", "It rains, again!"]
    right = [["The cat sat on a mat."], ["It rains again!", "Again, it rains!"]]
    found = bleu_and_chrf(told, right)
    streams = [[right[0][0], right[1][0]], [None, right[1][1]]]
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(told, streams).score)
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(told, streams).score)
    assert "case:mixed" in found["bleu_signature"]
    assert "nc:6" in found["chrf_signature"]
    assert bleu(told, [[one] for one in told]) == pytest.approx(100)


def test_without_sacrebleu_all_else_is_told_and_the_mend(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.startswith("sacrebleu"):
            raise ImportError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    assert not has_sacrebleu()
    assert set(bleu_and_chrf(["a"], [["a"]]).values()) == {None}
    with pytest.raises(UsageError, match=r"BLEU needs sacrebleu: install it with pip install 'seqtool\[translate\]'"):
        bleu(["a"], [["a"]])
    assert "seqtool[translate]" in texts.MISSING
