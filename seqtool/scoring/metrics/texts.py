"""Metrics of texts beside the right ones, of which there may be several: exact match, error rates, BLEU and chrF.

Shapes: N texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqtool.errors import UsageError

MISSING = "BLEU and chrF are left out: they are sacrebleu's; install it with pip install 'seqtool[translate]'"


def edit_distance(told: Sequence[str], right: Sequence[str]) -> int:
    """The fewest insertions, deletions and substitutions that make one sequence the other (Levenshtein 1966)."""
    if not told or not right:
        return len(told) + len(right)
    numbers = {unit: number for number, unit in enumerate(dict.fromkeys([*told, *right]))}
    right_R = np.array([numbers[unit] for unit in right])
    places_R = np.arange(len(right) + 1)
    row = places_R
    for place, unit in enumerate(told, start=1):
        best = np.minimum(row[1:] + 1, row[:-1] + (right_R != numbers[unit]))
        best = np.concatenate([[place], best])
        row = np.minimum.accumulate(best - places_R) + places_R  # insertions, one after another
    return int(row[-1])


def error_counts(told: str, references: Sequence[str]) -> tuple[int, int]:
    """The errors of a text in words, which white space separates, and the words of the nearest reference: that with the
    fewest errors for each of its words.
    """
    words = told.split()
    found = [(edit_distance(words, right.split()), len(right.split())) for right in references]
    return min(found, key=lambda pair: (pair[0] / max(1, pair[1]), pair[0]))


def error_rates(told: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """How often and how far N texts are wrong, each with one or more references, of which any counts as right.

    `line_error_rate` is 1 - `exact_match`: in spelling words out, their word error rate. `word_error_rate` divides edit
    distances over what white space separates by the words of the nearest references: there the phoneme error rate.
    """
    exact = sum(one in right for one, right in zip(told, references, strict=True))
    counts = [error_counts(one, right) for one, right in zip(told, references, strict=True)]
    words = sum(length for _, length in counts)
    return {
        "exact_match": exact / len(told),
        "line_error_rate": 1 - exact / len(told),
        "word_error_rate": sum(errors for errors, _ in counts) / words if words else float("nan"),
    }


def has_sacrebleu() -> bool:
    """Whether sacrebleu is installed."""
    try:
        import sacrebleu  # noqa: F401
    except ImportError:
        return False
    return True


def bleu_and_chrf(told: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """sacrebleu's corpus BLEU and chrF with their signatures (Post 2018); None each where it is not installed."""
    names = ("bleu", "chrf", "bleu_signature", "chrf_signature")
    if not has_sacrebleu():
        return dict.fromkeys(names)
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    most = max(map(len, references))
    streams: Any = [[right[place] if place < len(right) else None for right in references] for place in range(most)]
    values: dict[str, Any] = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        values[name] = float(metric.corpus_score(list(told), streams).score)
        values[f"{name}_signature"] = str(metric.get_signature())
    return {name: values[name] for name in names}


def bleu(told: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """sacrebleu's corpus BLEU, 0 to 100; UsageError where it is not installed."""
    require_sacrebleu("BLEU")
    return float(bleu_and_chrf(told, references)["bleu"])


def require_sacrebleu(what: str) -> None:
    """UsageError where sacrebleu, which something needs, is not installed."""
    if not has_sacrebleu():
        raise UsageError(f"{what} needs sacrebleu: install it with pip install 'seqtool[translate]'")
