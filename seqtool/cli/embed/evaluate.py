"""`seqtool embed evaluate`: comparing vectors with human judgements."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import cell, in_columns, note, to_left, write, write_report
from seqtool.cli.embed.asking import VectorsPath, open_space
from seqtool.cli.options import Errors, Json, chosen
from seqtool.errors import UsageError
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.vectors.judging import Analogies, Similarities
    from seqtool.vectors.neighbours import Space

EXAMPLES = ("seqtool embed evaluate novel.vectors wordsim353.csv questions-words.txt",)
SECTION_COLUMNS = ("questions", "covered", "correct", "accuracy")
MOST_MISSING = 3


def command(
    vectors: VectorsPath,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Word similarity (two words and a number: WordSim-353, SimLex-999, ...) or analogies (four words, "
            "as Google's; or a word and its answers, as BATS); the content tells which. - is standard input.",
        ),
    ],
    *,
    top: Annotated[
        Optional[int],
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            help="Analogies: use only questions and answers among the N most frequent tokens.",
        ),
    ] = None,
    errors: Errors = "strict",
    json: Json = False,
) -> None:
    """Evaluate vectors: Spearman's rank correlation with human similarities, and accuracy on analogies by 3CosAdd.

    Words are looked up as they are, and in lower case if only that is known. Correlation and accuracy are over the
    questions whose words all have vectors; their share is reported as well.
    """
    from seqtool.files.streams import stream_name
    from seqtool.vectors.judging import Analogies
    from seqtool.vectors.reading_judgements import read_judgements

    chosen(errors, ERROR_HANDLERS, "--errors")
    space = open_space(vectors)
    judgements = [read_judgements(file, errors) for file in files]
    if top is not None and not any(isinstance(judged, Analogies) for judged in judgements):
        raise UsageError("--top is for analogies, and no file has any: leave it out")
    for number, (file, judged) in enumerate(zip(files, judgements, strict=True)):
        shares = judged.judge(space, top) if isinstance(judged, Analogies) else judged.judge(space)
        report = {"file": file, **shares}
        if not report["covered"]:
            note(_uncovered(stream_name(file), judged, space, top))
        if json:
            write(json_module.dumps(report, ensure_ascii=False) + "\n", flush=True)
            continue
        sections = report.pop("sections", [])
        write("\n" if number else "")
        write_report(report, json)
        if len(sections) > 1:
            _write_sections(sections)


def _uncovered(name: str, judged: Similarities | Analogies, space: Space, top: int | None) -> str:
    """A note on why no question of a file has vectors for all its words."""
    missing = judged.unknown(space)
    if not missing:
        return f"no question of {name} is among the {top} most frequent tokens: raise --top"
    such = f"such as {', '.join(missing[:MOST_MISSING])}: are they lower-cased, or of another form?"
    if len(missing) == len(judged.words()):
        return f"none of {name}'s words has a vector, {such}"
    return f"nothing of {name} is covered: too many words have no vector, {such}"


def _write_sections(sections: list[dict[str, Any]]) -> None:
    """A row for each section."""
    forms = (to_left(["section", *(section["section"] for section in sections)]), *(">9" for _ in SECTION_COLUMNS))
    write(in_columns(["section", *SECTION_COLUMNS], forms))
    for section in sections:
        write(in_columns([section["section"], *(cell(section[column]) for column in SECTION_COLUMNS)], forms))
