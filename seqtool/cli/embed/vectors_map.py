"""`seqtool embed map`: draw word vectors."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Optional

import typer

from seqtool.cli.console import note, write_bytes
from seqtool.cli.embed.asking import VectorsPath, Words
from seqtool.cli.options import Errors, Force, Quiet, chosen
from seqtool.errors import InputError, UsageError
from seqtool.settings.vocabulary import ERROR_HANDLERS

NAME = "map"
EXAMPLE = "seqtool embed map novel.vectors -o novel.html --most 2000"
METHODS = ("pca", "tsne")
FORMATS = ("html", "svg", "png")
MOST = 1000


def command(
    vectors: VectorsPath,
    words: Annotated[
        Words, typer.Argument(metavar="[WORD...]", help="Words to show, phrases in quotes; with --most, to mark.")
    ] = None,
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="A .html, .svg or .png to write; - is standard output."),
    ],
    most: Annotated[
        Optional[int],
        typer.Option("--most", min=1, help=f"Show the most frequent words. \\[{MOST}, or none where words are named]"),
    ] = None,
    words_file: Annotated[
        Optional[str], typer.Option("--words", metavar="FILE", help="More words, one a line; - is standard input.")
    ] = None,
    method: Annotated[
        str,
        typer.Option("--method", metavar="|".join(METHODS), help="How the plane is found; tsne needs seqtool\\[map]."),
    ] = METHODS[0],
    format: Annotated[
        Optional[str],
        typer.Option("--format", metavar="|".join(FORMATS), help="What to draw. \\[the suffix; html for -]"),
    ] = None,
    seed: Annotated[Optional[int], typer.Option("--seed", min=0, help="Fixes what is random in tsne. \\[0]")] = None,
    errors: Errors = "strict",
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Draw word vectors on a plane: a page to zoom and search, or an SVG or PNG.

    Near on the map is near by cosine, as far as a plane can show it. Symbols such as <unk> are shown only if named.
    PNG needs seqtool\\[map].
    """
    chosen(method, METHODS, "--method")
    chosen(errors, ERROR_HANDLERS, "--errors")
    if format:
        chosen(format, FORMATS, "--format")
    if seed is not None and method != "tsne":
        raise UsageError("--seed is for --method tsne: pca has nothing random; leave it out")
    if errors != "strict" and words_file is None:
        raise UsageError("--errors is for the file of --words: leave it out")
    seed = seed or 0

    from seqtool.files.writing import atomic_writer, file_sha256, provenance, refuse_file
    from seqtool.reports.drawing import DRAWERS, About, format_of
    from seqtool.vectors import mapping
    from seqtool.vectors.neighbours import Space
    from seqtool.vectors.vectors import read_vectors

    kind = format_of(str(output), format)
    if kind == "png":
        mapping.check_package("a map in PNG", "matplotlib")
    if method == "tsne":
        mapping.check_package("--method tsne", "sklearn")
    to_stdout = str(output) == "-"
    if not to_stdout:
        refuse_file(output, force, [str(vectors), *([words_file] if words_file else [])])
    named = [*(words or []), *(_lines(words_file, errors) if words_file else [])]
    space = Space(read_vectors(vectors), str(vectors))
    shown = mapping.choose_words(space, most or (0 if named else MOST), named)
    if shown.unknown:
        note(mapping.unknown_note(shown.unknown), quiet)
    if method == "tsne":
        note("t-SNE: seconds for a thousand words, a minute or two for ten thousand", quiet)
        points = mapping.tsne(shown.unit_ND, seed)
        how = f"t-SNE by cosine, seed {seed}: it keeps what is near together; long distances and sizes mean little"
    else:
        points, share = mapping.principal_components(shown.unit_ND)
        how = (
            f"two principal components, which show {share:.1%} of the variance of the vectors, each scaled to length 1"
        )
    count = len(shown.words)
    caption = f"{count:,} {'word' if count == 1 else 'words'} of {len(space.vectors.tokens):,}: {how}"
    note(caption, quiet)
    made = {
        **provenance(),
        "vectors_sha256": file_sha256(vectors),
        "settings": {"method": method, "most": most, "words": len(named), "seed": seed},
    }
    content = DRAWERS[kind](mapping.place(shown, points), About(vectors.name, caption, made))
    if to_stdout:
        write_bytes(content)
        return
    with atomic_writer(output, len(content)) as stream:
        stream.write(content)
    note(f"next: open {shlex.quote(str(output))} in {'a browser' if kind == 'html' else 'a viewer of images'}", quiet)


def _lines(path: str, errors: str) -> list[str]:
    """The words of a file, one a line; blank lines are none."""
    from seqtool.text.documents import TextSource

    text = "".join(block.text for block in TextSource([path], errors=errors).blocks())
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    words = [line for line in lines if line]
    if not words:
        raise InputError(f"--words {path} names no word: give one a line")
    return words
