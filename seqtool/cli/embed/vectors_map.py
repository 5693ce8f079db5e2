"""`seqtool embed map`: draw word vectors."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from seqtool.cli.console import note, write_bytes
from seqtool.cli.embed.asking import VectorsPath, Words
from seqtool.cli.options import Errors, Force, Quiet, chosen, option_of
from seqtool.errors import InputError, UsageError
from seqtool.settings.vocabulary import ERROR_HANDLERS

if TYPE_CHECKING:
    from seqtool.vectors.mapping import ChosenWords, Points, WordMap

EXAMPLES = ("seqtool embed map novel.vectors -o novel.html --most 2000",)
MAP_METHODS = ("pca", "tsne")
MAP_FORMATS = ("html", "svg", "png")
MOST = 1000


def command(
    vectors: VectorsPath,
    words: Annotated[
        Words, typer.Argument(metavar="[WORD...]", help="Words to show, phrases in quotes; with --most, to mark.")
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="File to write, .html, .svg or .png; - is standard output."
        ),
    ],
    most: Annotated[
        Optional[int],
        typer.Option(
            "--most",
            metavar="N",
            min=1,
            help="Show the most frequent words.",
            show_default=f"{MOST}, or none where words are named",
        ),
    ] = None,
    words_file: Annotated[
        Optional[str], typer.Option("--words", metavar="FILE", help="More words, one a line; - is standard input.")
    ] = None,
    method: Annotated[
        str,
        option_of(MAP_METHODS, "--method", help="Projection onto the plane; tsne needs scikit-learn."),
    ] = MAP_METHODS[0],
    format: Annotated[
        Optional[str],
        option_of(MAP_FORMATS, "--format", help="Format to write.", default="by the suffix; html for -"),
    ] = None,
    seed: Annotated[
        Optional[int],
        typer.Option("--seed", metavar="N", min=0, help="Seed of tsne.", show_default="0"),
    ] = None,
    errors: Errors = "strict",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Draw word vectors on a plane: an HTML page to zoom and search, or an SVG or PNG picture.

    Words near each other on the map have a large cosine, as far as a plane can show it. Symbols such as <unk> are shown
    only if they are named. tsne and PNG need seqtool[map].
    """
    _check_flags(method, format, seed, words_file, errors)
    seed = seed or 0

    from seqtool.files.writing import refuse_file
    from seqtool.reports.drawing import format_of
    from seqtool.vectors import mapping
    from seqtool.vectors.neighbours import Space
    from seqtool.vectors.vectors import read_vectors

    kind = format_of(str(output), format)
    _check_packages(kind, method)
    if str(output) != "-":
        refuse_file(output, force, [str(vectors), *([words_file] if words_file else [])])
    named = [*(words or []), *(_lines(words_file, errors) if words_file else [])]
    space = Space(read_vectors(vectors), str(vectors))
    shown = mapping.choose_words(space, most or (0 if named else MOST), named)
    if shown.unknown:
        note(mapping.unknown_note(shown.unknown), quiet)
    points, how = _on_a_plane(shown, method, seed, quiet)
    count = len(shown.words)
    caption = f"{count:,} {'word' if count == 1 else 'words'} of {len(space.vectors.tokens):,}: {how}"
    note(caption, quiet)
    settings = {"method": method, "most": most, "words": len(named), "seed": seed}
    content = _drawn(mapping.place(shown, points), kind, vectors, caption, settings)
    _write(content, output, kind, quiet)


def _check_flags(method: str, format: str | None, seed: int | None, words_file: str | None, errors: str) -> None:
    """UsageError for flags that are wrong or have no effect, before anything is loaded."""
    chosen(method, MAP_METHODS, "--method")
    chosen(errors, ERROR_HANDLERS, "--errors")
    if format:
        chosen(format, MAP_FORMATS, "--format")
    if seed is not None and method != "tsne":
        raise UsageError("--seed is for --method tsne: pca has nothing random; leave it out")
    if errors != "strict" and words_file is None:
        raise UsageError("--errors is for the file of --words: leave it out")


def _check_packages(kind: str, method: str) -> None:
    """UsageError naming the package that a PNG or t-SNE needs, if it is not installed."""
    from seqtool.vectors import mapping

    if kind == "png":
        mapping.check_package("a map in PNG", "matplotlib")
    if method == "tsne":
        mapping.check_package("--method tsne", "sklearn")


def _on_a_plane(shown: ChosenWords, method: str, seed: int, quiet: bool) -> tuple[Points, str]:
    """A point for each word, shape (N, 2), and a description of the projection."""
    from seqtool.vectors import mapping

    if method == "tsne":
        note("t-SNE: seconds for a thousand words, a minute or two for ten thousand", quiet)
        how = f"t-SNE by cosine, seed {seed}: it keeps what is near together; long distances and sizes mean little"
        return mapping.tsne(shown.unit_ND, seed), how
    points, share = mapping.principal_components(shown.unit_ND)
    how = f"two principal components, which show {share:.1%} of the variance of the vectors, each scaled to length 1"
    return points, how


def _drawn(words: WordMap, kind: str, vectors: Path, caption: str, settings: dict[str, Any]) -> bytes:
    """The drawing, with what made it."""
    from seqtool.files.writing import file_sha256, provenance
    from seqtool.reports.drawing import DRAWERS, About

    made = {**provenance(), "vectors_sha256": file_sha256(vectors), "settings": settings}
    return DRAWERS[kind](words, About(vectors.name, caption, made))


def _write(content: bytes, output: Path, kind: str, quiet: bool) -> None:
    """Write the drawing, and tell what to open it with."""
    from seqtool.files.writing import atomic_writer

    if str(output) == "-":
        write_bytes(content)
        return
    with atomic_writer(output, len(content)) as stream:
        stream.write(content)
    note(f"next: open {shlex.quote(str(output))} in {'a browser' if kind == 'html' else 'a viewer of images'}", quiet)


def _lines(path: str, errors: str) -> list[str]:
    """The words of a file, one a line, without blank lines."""
    from seqtool.text.documents import TextSource

    text = "".join(block.text for block in TextSource([path], errors=errors).blocks())
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    words = [line for line in lines if line]
    if not words:
        raise InputError(f"--words {path} names no word: give one a line")
    return words
