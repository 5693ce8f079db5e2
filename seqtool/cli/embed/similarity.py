"""`seqtool embed similarity`: the cosine of two words."""

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
        Words,
        typer.Argument(
            metavar="A B", help="Words, or phrases in quotes; - reads two from each line of standard input."
        ),
    ] = None,
    *,
    interactive: Interactive = False,
    errors: Errors = "strict",
    json: Json = False,
) -> None:
    """Print the cosine similarity of two words or phrases.

    In a line the two are separated by a tab, or by white space if there is no tab. Each pair is a row: A, B, cosine.
    """

    def answered(space: Space, questions: Sequence[Sequence[Query]]) -> Iterator[Answer]:
        from seqtool.vectors.neighbours import cosine

        for a, b in questions:
            near = cosine(a, b)
            yield Answer({"a": a.text, "b": b.text, "cosine": near}, [(a.text, b.text, near)])

    chosen(errors, ERROR_HANDLERS, "--errors")
    ask(vectors, words or [], ["A", "B"], answered, interactive, errors, json)
