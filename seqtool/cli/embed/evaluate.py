"""`seqtool embed evaluate`: vectors held against people's judgements."""

from __future__ import annotations

import json as json_module
from typing import Annotated, Any, Optional

import typer

from seqtool.cli.console import write, write_report
from seqtool.cli.embed.asking import VectorsPath
from seqtool.cli.options import Json

NAME = "evaluate"
EXAMPLE = "seqtool embed evaluate novel.vectors wordsim353.csv questions-words.txt"
SECTION_COLUMNS = ("questions", "covered", "correct", "accuracy")


def command(
    vectors: VectorsPath,
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Word similarity (two words and a number: WordSim-353, SimLex-999, ...) or analogies (four words, "
            "as Google's; or a word and its answers, as BATS): the content tells which. - is standard input.",
        ),
    ],
    *,
    top: Annotated[
        Optional[int],
        typer.Option(
            "--top",
            metavar="N",
            min=1,
            help="Analogies: only the N most frequent tokens are asked for and answered with.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Judge vectors: Spearman's rank correlation with people's similarities, and accuracy on analogies by 3CosAdd.

    Words are looked up as they are, and in lower case where only that is known. What is not covered does not count:
    accuracy and correlation are over the covered part, whose share is given beside them.
    """
    from seqtool.embeddings.judging import Analogies, read_judgements
    from seqtool.embeddings.neighbours import Space
    from seqtool.embeddings.vectors import read_vectors

    space = Space(read_vectors(vectors), str(vectors))
    judgements = [read_judgements(file) for file in files]
    for number, (file, judged) in enumerate(zip(files, judgements, strict=True)):
        shares = judged.judge(space, top) if isinstance(judged, Analogies) else judged.judge(space)
        report = {"file": file, **shares}
        if json:
            write(json_module.dumps(report, ensure_ascii=False) + "\n", flush=True)
            continue
        sections = report.pop("sections", [])
        write("\n" if number else "")
        write_report(report, json)
        if len(sections) > 1:
            _write_sections(sections)


def _write_sections(sections: list[dict[str, Any]]) -> None:
    """A row for each section."""
    width = max(len("section"), *(len(section["section"]) for section in sections))
    write(f"{'section':<{width}}" + "".join(f"  {column:>9}" for column in SECTION_COLUMNS) + "\n")
    for section in sections:
        cells = (_cell(section[column]) for column in SECTION_COLUMNS)
        write(f"{section['section']:<{width}}" + "".join(f"  {cell:>9}" for cell in cells) + "\n")


def _cell(value: float | int | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
