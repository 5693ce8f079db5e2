"""Metrics of tagging: of tokens, and of the spans that tags such as B-PER and I-PER mark, by conlleval's definition.

Shapes: N tokens of all sentences, one after the other; S sentences; V tags in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from seqtool.scoring.metrics.classes import (
    CONFUSION_LABELS,
    LabelCounts,
    accuracy,
    confusion_matrix,
    label_counts,
    label_table,
)
from seqtool.scoring.metrics.values import Flags, Integers, for_json, mean

OUTSIDE = "O"
PREFIXES = {
    "B": (True, False),
    "I": (True, True),
    "M": (True, True),
    "E": (False, True),
    "L": (False, True),
    "S": (False, False),
    "U": (False, False),
}
"""Of a tag's prefix: whether its span may go on after the token, and whether the token may go on with a span.

I of IOB1 begins a span where there is none to go on with, so that IOB1, BIO, BIOES, BILOU and BMES are read alike.
"""


class SpanTags(NamedTuple):
    """What each of V tags says about spans; their types are numbers in `types`, -1 outside of spans."""

    open_V: Flags
    continues_V: Flags
    type_V: Integers
    types: list[str]


class TypedSpans(NamedTuple):
    """Spans of tokens: the first, the one after the last, and the type of each."""

    begin: Integers
    end: Integers
    type: Integers


def are_span_tags(names: Sequence[str]) -> bool:
    """Whether tags mark spans: each is O or has a prefix of PREFIXES, and some have a type, or B and I are there."""
    prefixes = {name.partition("-")[0] for name in names}
    return prefixes <= {OUTSIDE, *PREFIXES} and (any("-" in name for name in names) or {"B", "I"} <= prefixes)


def span_tags(names: Sequence[str]) -> SpanTags:
    """Take tags apart; a tag without one of the prefixes is outside of spans."""
    parts = [name.partition("-") for name in names]
    types = sorted({type for prefix, _, type in parts if prefix in PREFIXES})
    numbers = [types.index(type) if prefix in PREFIXES else -1 for prefix, _, type in parts]
    open_V, continues_V = (
        np.array([PREFIXES.get(prefix, (False, False)) for prefix, _, _ in parts], bool).reshape(-1, 2).T
    )
    return SpanTags(open_V, continues_V, np.array(numbers, np.int64), types)


def find_spans(tags_N: Integers, lengths_S: Integers, tags: SpanTags) -> TypedSpans:
    """The spans of sentences of the given lengths in tokens, in order.

    A token goes on with the span of the token before it if both are of one type, the tag before is B or I, and its own
    is I or E; any other token that is not outside begins a span: conlleval's rules (Tjong Kim Sang and Buchholz 2000).
    """
    type_N = tags.type_V[tags_N]
    inside_N = type_N >= 0
    goes_on_N = np.zeros(len(tags_N), bool)
    goes_on_N[1:] = (type_N[1:] == type_N[:-1]) & tags.open_V[tags_N[:-1]] & tags.continues_V[tags_N[1:]]
    first_S = np.cumsum(lengths_S) - lengths_S
    goes_on_N[first_S[lengths_S > 0]] = False
    last_N = inside_N.copy()
    last_N[:-1] &= ~goes_on_N[1:]
    begin = np.flatnonzero(inside_N & ~goes_on_N)
    return TypedSpans(begin, np.flatnonzero(last_N) + 1, type_N[begin])


def span_counts(truth: TypedSpans, predicted: TypedSpans, types: int) -> LabelCounts:
    """Count the spans of each type; a predicted one is right if a true one has its beginning, end and type."""
    at = np.searchsorted(truth.begin, predicted.begin)
    padded = TypedSpans(*(np.append(each, -1) for each in truth))  # behind the last true span
    right = np.all([true[at] == each for true, each in zip(padded, predicted, strict=True)], axis=0)
    each_type = (predicted.type[right], predicted.type, truth.type)
    return LabelCounts(*(np.bincount(each, minlength=types) for each in each_type))


def sentence_accuracy(truth_N: Integers, predicted_N: Integers, lengths_S: Integers) -> float:
    """The share of sentences whose tags are all right; a sentence without tokens is left out."""
    sentence_N = np.repeat(np.arange(len(lengths_S)), lengths_S)
    wrong_S = np.bincount(sentence_N[truth_N != predicted_N], minlength=len(lengths_S))
    return mean(wrong_S[lengths_S > 0] == 0)


def tags_report(
    names: Sequence[str],
    truth_N: Integers,
    predicted_N: Integers,
    lengths_S: Integers,
    *,
    seen: int,
    baseline_N: Integers,
) -> dict[str, Any]:
    """Every metric of a tagging, ready for JSON, beside that of a baseline's tags.

    `names` are those of all V tags, of which the first `seen` were seen in training. `spans` is None where the tags
    mark none.
    """
    counts, baseline_counts = (label_counts(truth_N, tags, len(names)) for tags in (predicted_N, baseline_N))
    report = {
        "tokens": len(truth_N),
        "sentences": int(np.count_nonzero(lengths_S)),
        "accuracy": accuracy(truth_N, predicted_N),
        "sentence_accuracy": sentence_accuracy(truth_N, predicted_N, lengths_S),
        "macro_f1": counts.macro_f1(),
        "micro_f1": counts.micro_f1(),
        "weighted_f1": counts.weighted_f1(),
        "baseline": "most frequent tag of each word",
        "baseline_accuracy": accuracy(truth_N, baseline_N),
        "baseline_sentence_accuracy": sentence_accuracy(truth_N, baseline_N, lengths_S),
        "baseline_macro_f1": baseline_counts.macro_f1(),
        "unseen_labels": list(names[seen:]),
        "unseen": int(counts.support[seen:].sum()),
        "spans": _spans(names, truth_N, predicted_N, lengths_S, baseline_N) if are_span_tags(names) else None,
        "labels": label_table(names, counts),
        "confusion": confusion_matrix(truth_N, predicted_N, len(names)) if len(names) <= CONFUSION_LABELS else None,
    }
    return for_json(report)


def _spans(
    names: Sequence[str], truth_N: Integers, predicted_N: Integers, lengths_S: Integers, baseline_N: Integers
) -> dict[str, Any]:
    tags = span_tags(names)
    truth, predicted, baseline = (find_spans(each, lengths_S, tags) for each in (truth_N, predicted_N, baseline_N))
    counts = span_counts(truth, predicted, len(tags.types))
    micro = counts.pooled()
    return {
        "support": int(micro.support),
        "predicted": int(micro.predicted),
        "precision": float(micro.precision),
        "recall": float(micro.recall),
        "f1": float(micro.f1),
        "macro_f1": counts.macro_f1(),
        "baseline_f1": span_counts(truth, baseline, len(tags.types)).micro_f1(),
        "labels": label_table(tags.types, counts),
    }
