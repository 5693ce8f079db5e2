"""Vectors for other programs: word2vec's two formats, GloVe's, numpy's, and TensorBoard's projector.

word2vec         `V D`, then a line for each token: the token and its D numbers, a space between them
word2vec-binary  the same first line, then for each token: the token, a space, D float32 (little-endian), a newline
glove            as word2vec, without the first line
npy              FILE.npy, the matrix (V, D) as numpy's file, and FILE.npy.txt, a token a line
projector        a directory: tensors.tsv, metadata.tsv, and projector_config.pbtxt that names them

V tokens, D numbers in a vector. Numbers are written with as many digits as give every float32 back exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from seqtool.errors import InputError, UsageError
from seqtool.files.writing import atomic_directory, atomic_writer
from seqtool.vectors.vectors import FloatMatrix, Vectors

TENSORS, LABELS, PROJECTOR = "tensors.tsv", "metadata.tsv", "projector_config.pbtxt"
PROJECTOR_CONFIG = f"""embeddings {{
  tensor_name: "vectors"
  tensor_path: "{TENSORS}"
  metadata_path: "{LABELS}"
}}
"""
WHITE_SPACE, LINE_ENDS = b"\t\n\v\f\r ", b"\n\r"
FORBIDDEN = {
    "word2vec": WHITE_SPACE,
    "word2vec-binary": WHITE_SPACE,
    "glove": WHITE_SPACE,
    "npy": LINE_ENDS,
    "projector": LINE_ENDS + b"\t",
}
"""The bytes that end a token in each format, so that no token may hold them."""
BLOCK_NUMBERS = 1 << 17  # written at once


def check_tokens(vectors: Vectors, count: int, format: str) -> None:
    """InputError, naming the token, when a format cannot hold one of the first `count` tokens."""
    ends = vectors.tokens.ends[:count]
    lengths = np.diff(ends, prepend=0)
    text = vectors.tokens.text[: int(ends[-1])]
    found = np.flatnonzero(np.isin(text, np.frombuffer(FORBIDDEN[format], np.uint8)))
    bad = int(np.searchsorted(ends, found[0], side="right")) if len(found) else None
    if bad is None and FORBIDDEN[format] == WHITE_SPACE and not lengths.all():
        bad = int(np.flatnonzero(lengths == 0)[0])
    if bad is not None:
        token = vectors.tokens[bad]
        others = [name for name, forbidden in FORBIDDEN.items() if not set(forbidden) & set(token.encode())]
        mend = f"export it as {' or '.join(others)}" if others and token else "leave it out of the text"
        raise InputError(f"the token {token!r} cannot be written as {format}, where white space ends a token: {mend}")


def file_blocks(
    vectors: Vectors, count: int, format: str, progress: Callable[[int], None] = lambda rows: None
) -> Iterator[bytes]:
    """Yield the bytes of the first `count` vectors in a format that is one file: word2vec, word2vec-binary or glove."""
    if format != "glove":
        yield f"{count} {vectors.dim}\n".encode()
    numbers = " %.9g" * vectors.dim + "\n"  # nine digits tell any two float32 apart
    for start, rows_ND in _blocks(vectors, count):
        tokens = [vectors.tokens[start + index] for index in range(len(rows_ND))]
        if format == "word2vec-binary":
            parts = zip(tokens, rows_ND.astype("<f4"), strict=True)
            yield b"".join(token.encode() + b" " + row.tobytes() + b"\n" for token, row in parts)
        else:
            lines = zip(tokens, rows_ND.tolist(), strict=True)
            yield "".join(token + numbers % tuple(row) for token, row in lines).encode()
        progress(start + len(rows_ND))


def exported_paths(path: Path, format: str) -> list[Path]:
    """The files that an export to `path` writes: two for npy, else `path`; UsageError when `path` has no name."""
    if path.name in ("", ".."):
        raise UsageError(f"-o {path} names no file: give it a name")
    if format != "npy":
        return [path]
    matrix_file = path if path.suffix == ".npy" else path.with_name(path.name + ".npy")
    return [matrix_file, matrix_file.with_name(matrix_file.name + ".txt")]


def export_vectors(
    path: Path, vectors: Vectors, count: int, format: str, progress: Callable[[int], None] = lambda rows: None
) -> None:
    """Write the first `count` vectors, atomically; `progress` is given the number of rows written."""
    if format == "projector":
        _write_projector(path, vectors, count, progress)
    elif format == "npy":
        _write_npy(path, vectors, count)
    else:
        with atomic_writer(path) as stream:
            for block in file_blocks(vectors, count, format, progress):
                stream.write(block)


def _write_projector(path: Path, vectors: Vectors, count: int, progress: Callable[[int], None]) -> None:
    numbers = "\t".join(["%.9g"] * vectors.dim) + "\n"
    with atomic_directory(path) as folder:
        with atomic_writer(folder / TENSORS) as stream:
            for start, rows_ND in _blocks(vectors, count):
                stream.write("".join(numbers % tuple(row) for row in rows_ND.tolist()).encode())
                progress(start + len(rows_ND))
        with atomic_writer(folder / LABELS) as stream:
            stream.writelines(_token_lines(vectors, count))
        with atomic_writer(folder / PROJECTOR) as stream:
            stream.write(PROJECTOR_CONFIG.encode())


def _write_npy(path: Path, vectors: Vectors, count: int) -> None:
    matrix_file, tokens_file = exported_paths(path, "npy")
    with atomic_writer(tokens_file) as stream:
        stream.writelines(_token_lines(vectors, count))
    with atomic_writer(matrix_file, vectors.matrix_VD[:count].nbytes) as stream:
        np.save(stream, vectors.matrix_VD[:count], allow_pickle=False)


def _blocks(vectors: Vectors, count: int) -> Iterator[tuple[int, FloatMatrix]]:
    """The first `count` rows in blocks, each with the number of its first row."""
    rows = max(1, BLOCK_NUMBERS // vectors.dim)
    for start in range(0, count, rows):
        yield start, vectors.matrix_VD[start : min(start + rows, count)]


def _token_lines(vectors: Vectors, count: int) -> Iterator[bytes]:
    return (vectors.tokens[index].encode() + b"\n" for index in range(count))
