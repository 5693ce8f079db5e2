"""`seqtool embed similarity`: how near two words are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from seqtool.cli.embed.asking import Answer, Interactive, VectorsPath, Words, ask
from seqtool.cli.options import Errors, Json, chosen
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.vectors.neighbours import Query, Space

EXAMPLES = ("seqtool embed similarity novel.vectors king queen",)


def command(
    vectors: VectorsPath,
    words: Annotated[
        Words, typer.Argument(metavar="A B", help="Words, or phrases in quotes; - reads the two from each line.")
    ] = None,
    *,
    interactive: Interactive = False,
    errors: Errors = "strict",
    json: Json = False,
) -> None:
    """Print the cosine of the angle between two words or phrases.

    In a line a tab separates the two, or white space where there is no tab. A row for each: A, B, cosine.
    """

    def answered(space: Space, questions: Sequence[Sequence[Query]]) -> Iterator[Answer]:
        from seqtool.vectors.neighbours import cosine

        for a, b in questions:
            near = cosine(a, b)
            yield Answer({"a": a.text, "b": b.text, "cosine": near}, [(a.text, b.text, near)])

    chosen(errors, ERROR_HANDLERS, "--errors")
    ask(vectors, words or [], ["A", "B"], answered, interactive, errors, json)
