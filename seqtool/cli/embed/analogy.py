"""`seqtool embed analogy`: A is to B as C is to what?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from seqtool.cli.embed.asking import Answer, Count, Interactive, VectorsPath, Words, ask, neighbour_names
from seqtool.cli.options import Errors, Json, chosen
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.vectors.neighbours import Query, Space

EXAMPLES = ("seqtool embed analogy novel.vectors man king woman -n 3",)


def command(
    vectors: VectorsPath,
    words: Annotated[
        Words,
        typer.Argument(
            metavar="A B C", help="Words, or phrases in quotes; - reads three from each line of standard input."
        ),
    ] = None,
    *,
    count: Count = 10,
    interactive: Interactive = False,
    errors: Errors = "strict",
    json: Json = False,
) -> None:
    """Answer: A is to B as C is to what? The tokens nearest to B - A + C of unit vectors, without A, B and C.

    In a line the three are separated by tabs, or by white space if there is no tab. Each answer is a row: A, B, C,
    answer, cosine.
    """

    def answered(space: Space, questions: Sequence[Sequence[Query]]) -> Iterator[Answer]:
        from seqtool.vectors.neighbours import analogous

        points = [analogous(a.unit_D, b.unit_D, c.unit_D) for a, b, c in questions]
        found = space.nearest(points, [a.rows + b.rows + c.rows for a, b, c in questions], count)
        for (a, b, c), neighbours in zip(questions, found, strict=True):
            near = neighbour_names(space, neighbours)
            answers = [{"answer": token, "score": score} for token, score in near]
            yield Answer(
                {"a": a.text, "b": b.text, "c": c.text, "answers": answers},
                [(a.text, b.text, c.text, token, score) for token, score in near],
            )

    chosen(errors, ERROR_HANDLERS, "--errors")
    ask(vectors, words or [], ["A", "B", "C"], answered, interactive, errors, json)
