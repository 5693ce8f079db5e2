"""A map of what a language model has learned to put in for each token, laid out as the drawings of `embed map` are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from seqtool.errors import InputError
from seqtool.models.language_model import LanguageModel
from seqtool.reports.drawing import HEIGHT, WIDTH, arrange, visible
from seqtool.reports.surprise import NEWLINE
from seqtool.runs.loading import Run
from seqtool.text.sentencepiece_model import SPACE
from seqtool.vectors.from_run import INPUT, vectors_of_run
from seqtool.vectors.mapping import choose_words, place, principal_components
from seqtool.vectors.neighbours import Space

MOST_TOKENS = 300
FEWEST_TOKENS = 3
LITTLE = 0.5  # of the variance


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
    names = [word.replace("\n", NEWLINE).replace(SPACE, "␣") for word in chosen.words]
    layout = arrange(place(replace(chosen, words=names), points_N2))
    much = (
        "."
        if share >= LITTLE
        else ", which is little: tokens that lie near each other here may be far apart in what is not drawn."
    )
    return {
        "about": (
            f"A dot is a token, by the vector that the model takes it in as: near each other lie tokens that it takes "
            f"for alike. Drawn are {len(names):,} vectors, scaled to one length, on their first two principal "
            f"components. These hold {share:.0%} of their variance{much}"
        ),
        "names": [visible(name) for name in names],
        "width": WIDTH,
        "height": HEIGHT,
        "dots": [[round(x, 1), round(y, 1)] for x, y, _ in layout.dots],
    }
