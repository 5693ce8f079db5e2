"""Spans are read and counted as conlleval reads and counts them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as sk

from seqtool.scoring.metrics.spans import (
    are_span_tags,
    find_spans,
    sentence_accuracy,
    span_counts,
    span_tags,
    tags_report,
)

TAGS = ["O", *(f"{prefix}-{type}" for prefix in "BIES" for type in ("LOC", "PER"))]


def read(*sentences: str) -> list[tuple[int, int, str]]:
    """The spans of sentences of tags such as B-X."""
    tags = [tag for sentence in sentences for tag in sentence.split()]
    names = sorted({*tags, "O"})
    known = span_tags(names)
    lengths = np.array([len(sentence.split()) for sentence in sentences])
    found = find_spans(np.array([names.index(tag) for tag in tags], int), lengths, known)
    return [(begin, end, known.types[type]) for begin, end, type in zip(*map(np.ndarray.tolist, found), strict=True)]


def one_by_one(sentences: list[list[str]]) -> list[tuple[int, int, str]]:
    """The spans, read a token at a time by what each pair of neighbours says."""
    spans, place = [], 0
    for sentence in sentences:
        begun: tuple[int, str] | None = None
        before = "O"
        for tag in [*sentence, "O"]:
            prefix, _, type = tag.partition("-")
            last, _, last_type = before.partition("-")
            ends = last in "ES" or prefix in "BSO" or type != last_type
            begins = prefix in "BS" or (prefix in "IE" and (last in "OES" or type != last_type))
            if begun and ends:
                spans.append((begun[0], place, begun[1]))
                begun = None
            if begins:
                begun = (place, type)
            before = tag
            place += 1
        place -= 1
    return spans


@pytest.mark.parametrize(
    "tags, spans",
    [
        ("B-X I-X O B-Y", [(0, 2, "X"), (3, 4, "Y")]),
        ("B-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),
        ("I-X I-X O I-Y", [(0, 2, "X"), (3, 4, "Y")]),  # IOB1
        ("I-X B-X I-X", [(0, 1, "X"), (1, 3, "X")]),  # IOB1: B only between neighbours of one type
        ("B-X I-Y I-Y", [(0, 1, "X"), (1, 3, "Y")]),  # another type begins another span
        ("S-X B-X I-X E-X S-Y", [(0, 1, "X"), (1, 4, "X"), (4, 5, "Y")]),  # BIOES
        ("U-X B-X I-X L-X U-Y", [(0, 1, "X"), (1, 4, "X"), (4, 5, "Y")]),  # BILOU
        ("B-X M-X E-X S-X", [(0, 3, "X"), (3, 4, "X")]),  # BMES
        ("U-X U-X I-X S-X S-X I-X", [(n, n + 1, "X") for n in range(6)]),
        ("E-X E-X I-X", [(0, 1, "X"), (1, 2, "X"), (2, 3, "X")]),
        ("B I O I", [(0, 2, ""), (3, 4, "")]),
        ("B-A-1 I-A-1 I-A-2", [(0, 2, "A-1"), (2, 3, "A-2")]),
        ("O O", []),
        ("", []),
    ],
)
def test_spans_of_every_scheme(tags: str, spans: list[tuple[int, int, str]]):
    assert read(tags) == spans


def test_a_span_ends_with_its_sentence():
    assert read("B-X I-X", "", "I-X O", "") == [(0, 2, "X"), (2, 3, "X")]


@pytest.mark.parametrize("seed", range(20))
def test_random_tags_are_read_as_one_by_one(seed: int):
    random = np.random.default_rng(seed)
    tags = TAGS if seed % 2 else TAGS[:5]
    lengths = random.integers(0, 9, 30)
    known = span_tags(tags)
    both = []
    for _ in range(2):
        ids = random.integers(0, len(tags), lengths.sum())
        found = find_spans(ids, lengths, known)
        sentences = np.split(np.array(tags)[ids], np.cumsum(lengths)[:-1])
        expected = one_by_one([sentence.tolist() for sentence in sentences])
        assert [(b, e, known.types[t]) for b, e, t in zip(*found, strict=True)] == expected
        both.append((found, set(expected)))
    (truth, true_set), (predicted, predicted_set) = both
    counts = span_counts(truth, predicted, len(known.types))
    for number, type in enumerate(known.types):
        right = sum(span[2] == type for span in true_set & predicted_set)
        assert counts.right[number] == right
        assert counts.predicted[number] == sum(span[2] == type for span in predicted_set)
        assert counts.support[number] == sum(span[2] == type for span in true_set)


@pytest.mark.parametrize(
    "names, marks",
    [
        (["O", "B-PER", "I-PER"], True),
        (["O", "I-NP", "B-NP"], True),
        (["O", "B", "I"], True),
        (["S-X", "B-X", "E-X"], True),
        (["NOUN", "VERB", "X"], False),
        (["O", "NN", "B-PER"], False),
        (["O"], False),
        (["S", "E"], False),
        ([], False),
    ],
)
def test_which_tags_mark_spans(names: list[str], marks: bool):
    assert are_span_tags(names) is marks


def test_a_report_of_spans():
    names = ["O", "B-PER", "I-PER", "B-LOC"]
    truth, predicted = np.array([1, 2, 0, 3, 0, 1]), np.array([1, 2, 0, 1, 3, 1])
    report = tags_report(
        names, truth, predicted, np.array([3, 0, 3]), seen=4, baseline_N=np.zeros(6, int)
    )  # 2 of 3 true spans are found, by 4 predicted ones
    spans = report["spans"]
    assert (spans["support"], spans["predicted"]) == (3, 4)
    assert (spans["precision"], spans["recall"]) == (0.5, pytest.approx(2 / 3))
    assert spans["f1"] == pytest.approx(4 / 7)
    assert spans["baseline_f1"] == 0
    assert [(row["label"], row["support"], row["f1"]) for row in spans["labels"]] == [("LOC", 1, 0), ("PER", 2, 0.8)]
    assert spans["macro_f1"] == 0.4
    assert report["accuracy"] == pytest.approx(4 / 6)
    assert report["sentence_accuracy"] == 0.5
    assert report["sentences"] == 2
    assert report["baseline_accuracy"] == pytest.approx(2 / 6)
    json.dumps(report, allow_nan=False)


def test_a_report_of_tags_that_mark_no_spans():
    names = ["NOUN", "VERB", "X", "NEW"]
    random = np.random.default_rng(0)
    truth, predicted = random.integers(0, 4, 100), random.integers(0, 3, 100)
    report = tags_report(names, truth, predicted, np.array([60, 40]), seen=3, baseline_N=predicted)
    assert report["spans"] is None
    assert report["macro_f1"] == pytest.approx(sk.f1_score(truth, predicted, average="macro"))
    assert report["micro_f1"] == report["accuracy"] == report["baseline_accuracy"]
    assert (report["unseen_labels"], report["unseen"]) == (["NEW"], np.count_nonzero(truth == 3))
    assert report["confusion"] == sk.confusion_matrix(truth, predicted).tolist()


def test_no_true_spans():
    truth, predicted = np.zeros(3, int), np.array([0, 1, 2])
    spans = tags_report(["O", "B-X", "I-X"], truth, predicted, np.array([3]), seen=3, baseline_N=truth)["spans"]
    assert (spans["support"], spans["predicted"], spans["precision"], spans["recall"], spans["f1"]) == (
        0,
        1,
        0,
        None,
        0,
    )
    assert spans["baseline_f1"] is None


def test_no_tokens():
    none = np.zeros(0, int)
    report = tags_report(["O", "B-X"], none, none, none, seen=2, baseline_N=none)
    assert (report["accuracy"], report["sentence_accuracy"], report["spans"]["f1"]) == (None, None, None)


def test_a_sentence_is_right_if_all_its_tags_are():
    truth = np.array([1, 2, 3, 4, 5])
    predicted = np.array([1, 2, 0, 4, 5])
    assert sentence_accuracy(truth, predicted, np.array([2, 1, 0, 2])) == pytest.approx(2 / 3)
