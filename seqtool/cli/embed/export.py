"""`seqtool embed export`: vectors for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from seqtool.cli.console import Meter, note, write_bytes, write_report
from seqtool.cli.options import Force, Json, Quiet, format_of, option_of
from seqtool.errors import UsageError
from seqtool.settings.embedding import VECTOR_FORMATS

EXAMPLES = ("seqtool embed export novel.vectors -o novel.bin --most 50000",)
SUFFIXES = {".txt": "word2vec", ".vec": "word2vec", ".bin": "word2vec-binary", ".npy": "npy"}
STREAMED = ("word2vec", "glove")


def command(
    vectors: Annotated[Path, typer.Argument(metavar="VECTORS", help="File of vectors.")],
    *,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="File to write (npy: FILE.npy and FILE.npy.txt; projector: a directory); - is standard output.",
        ),
    ],
    format: Annotated[
        Optional[str],
        option_of(
            VECTOR_FORMATS,
            "--format",
            help="Format to write.",
            default="by the name: .txt and .vec word2vec, .bin word2vec-binary, .npy npy",
        ),
    ] = None,
    most: Annotated[
        Optional[int],
        typer.Option("--most", metavar="N", min=1, help="Write only the N most frequent tokens.", show_default="all"),
    ] = None,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write vectors for other programs: word2vec's text or binary format, GloVe's text, numpy's FILE.npy with the
    tokens in FILE.npy.txt, or a directory for TensorBoard's projector. All of them keep float32 exactly.
    """
    kind = format_of(output, format, VECTOR_FORMATS, SUFFIXES, "--format")
    to_stdout = str(output) == "-"
    if to_stdout and kind not in STREAMED:
        raise UsageError(f"-o -: {kind} does not go to standard output; name a file, or use {' or '.join(STREAMED)}")
    if to_stdout and json:
        raise UsageError("--json: standard output has the vectors and no report; leave it out, or name a file with -o")

    from seqtool.exchange.exporting_vectors import check_tokens, export_vectors, exported_paths, file_blocks
    from seqtool.vectors.vectors import read_vectors

    if not to_stdout:
        for path in exported_paths(output, kind):
            _refuse(path, kind, force, vectors)
    known = read_vectors(vectors)
    count = min(most or len(known.tokens), len(known.tokens))
    check_tokens(known, count, kind)
    if len(known.ngrams_BD):
        note(f"the vectors of character n-grams are left out: {kind} has no place for them", quiet)
    meter = Meter("vectors", count, quiet or (to_stdout and sys.stdout.isatty()))
    if to_stdout:
        for block in file_blocks(known, count, kind, meter):
            write_bytes(block)
        meter.close()
        return
    export_vectors(output, known, count, kind, meter)
    meter.close()
    files = [str(path) for path in exported_paths(output, kind)]
    write_report({"files": files, "format": kind, "tokens": count, "dim": known.dim}, json)


def _refuse(path: Path, kind: str, force: bool, vectors: Path) -> None:
    """UsageError if the result cannot be written to `path`; --force replaces a directory only if an export made it."""
    from seqtool.exchange.exporting_vectors import LABELS, PROJECTOR, TENSORS
    from seqtool.files.writing import refuse_directory, refuse_file

    if kind != "projector":
        refuse_file(path, force, [str(vectors)])
    elif not (force and path.is_dir() and {item.name for item in path.iterdir()} == {LABELS, PROJECTOR, TENSORS}):
        refuse_directory(path, False)
