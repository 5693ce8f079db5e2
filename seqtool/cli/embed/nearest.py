"""`seqtool embed nearest`: the tokens nearest to a word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from seqtool.cli.embed.asking import Answer, Count, Interactive, VectorsPath, Words, ask, neighbour_names
from seqtool.cli.options import Errors, Json, chosen
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.vectors.neighbours import Query, Space

EXAMPLES = ("seqtool embed nearest novel.vectors king 'old man' -n 5",)


def command(
    vectors: VectorsPath,
    words: Annotated[
        Words,
        typer.Argument(
            metavar="WORD...", help="Words, or phrases in quotes; - reads one from each line of standard input."
        ),
    ] = None,
    *,
    count: Count = 10,
    interactive: Interactive = False,
    errors: Errors = "strict",
    json: Json = False,
) -> None:
    """List the tokens nearest to a word or phrase by cosine, without its own words; the search is exact.

    The vector of a phrase is the mean of its words'. Each neighbour is a row: word, neighbour, cosine.
    """

    def answered(space: Space, questions: Sequence[Sequence[Query]]) -> Iterator[Answer]:
        queries = [query for (query,) in questions]
        found = space.nearest([query.unit_D for query in queries], [query.rows for query in queries], count)
        for query, neighbours in zip(queries, found, strict=True):
            near = neighbour_names(space, neighbours)
            yield Answer(
                {"query": query.text, "neighbours": [{"token": token, "cosine": cosine} for token, cosine in near]},
                [(query.text, token, cosine) for token, cosine in near],
            )

    chosen(errors, ERROR_HANDLERS, "--errors")
    ask(vectors, words or [], ["WORD"], answered, interactive, errors, json)
