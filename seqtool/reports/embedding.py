"""A map of what a language model has learned to put in for each token, laid out as the drawings of `embed map` are."""

from __future__ import annotations

from typing import Any

from seqtool.errors import InputError
from seqtool.models.language_model import LanguageModel
from seqtool.reports.drawing import HEIGHT, WIDTH, arrange
from seqtool.runs.loading import Run
from seqtool.vectors.from_run import INPUT, vectors_of_run
from seqtool.vectors.mapping import choose_words, place, principal_components
from seqtool.vectors.neighbours import Space

MOST_TOKENS = 300
FEWEST_TOKENS = 3


def embedding_map(run: Run) -> dict[str, Any] | None:
    """Dots and labels of a run's first tokens on the two principal components, in pixels.

    None of a model without vectors for tokens, or with so few tokens that there is no map.
    """
    if not isinstance(run.model, LanguageModel):
        return None
    try:
        chosen = choose_words(Space(vectors_of_run(run, INPUT), str(run.path)), MOST_TOKENS, [])
    except InputError:
        return None
    if len(chosen.words) < FEWEST_TOKENS:
        return None
    points_N2, share = principal_components(chosen.unit_ND)
    layout = arrange(place(chosen, points_N2))
    return {
        "about": (
            f"The input vectors of {len(chosen.words):,} tokens, scaled to one length, on their first two principal "
            f"components, which hold {share:.0%} of their variance."
        ),
        "width": WIDTH,
        "height": HEIGHT,
        "radius": round(layout.radius, 2),
        "dots": [[round(x, 1), round(y, 1)] for x, y, _ in layout.dots],
        "labels": [[label.text, round(label.x, 1), round(label.y, 1), label.size] for label in layout.labels],
    }
