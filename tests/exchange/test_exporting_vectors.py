"""Vectors for other programs: files compared byte by byte with ones made by hand."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import InputError, UsageError
from seqtool.exchange.exporting_vectors import check_tokens, export_vectors, exported_paths
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors

FORMATS = ("word2vec", "word2vec-binary", "glove", "npy", "projector")


def vectors_of(tokens: list[str], matrix: object) -> Vectors:
    return Vectors(TokenTable.of(tokens), np.array(matrix, np.float32), {"method": "test"})


def test_files_are_what_other_programs_write(tmp_path: Path):
    """Word2vec's format by hand: sizes, then each token and its numbers."""
    vectors = vectors_of(["a", "é", "c"], [[1, -0.5], [0.1, 2e10], [0, 3]])
    for format, expected in {
        "word2vec": "2 2\na 1 -0.5\né 0.100000001 2e+10\n".encode(),
        "glove": "a 1 -0.5\né 0.100000001 2e+10\n".encode(),
        "word2vec-binary": b"2 2\na "
        + struct.pack("<2f", 1, -0.5)
        + b"\n\xc3\xa9 "
        + struct.pack("<2f", 0.1, 2e10)
        + b"\n",
    }.items():
        export_vectors(tmp_path / "file", vectors, 2, format)
        assert (tmp_path / "file").read_bytes() == expected
    export_vectors(tmp_path / "m.npy", vectors, 2, "npy")
    assert exported_paths(tmp_path / "m.npy", "npy") == [tmp_path / "m.npy", tmp_path / "m.npy.txt"]
    assert (tmp_path / "m.npy.txt").read_bytes() == "a\né\n".encode()
    assert np.array_equal(np.load(tmp_path / "m.npy", allow_pickle=False), vectors.matrix_VD[:2])
    export_vectors(tmp_path / "p", vectors, 2, "projector")
    assert {item.name for item in (tmp_path / "p").iterdir()} == {
        "tensors.tsv",
        "metadata.tsv",
        "projector_config.pbtxt",
    }
    assert (tmp_path / "p" / "tensors.tsv").read_bytes() == b"1\t-0.5\n0.100000001\t2e+10\n"
    assert (tmp_path / "p" / "metadata.tsv").read_bytes() == "a\né\n".encode()
    named = re.findall(r'_path: "(.*)"', (tmp_path / "p" / "projector_config.pbtxt").read_text())
    assert named == ["tensors.tsv", "metadata.tsv"]


@pytest.mark.parametrize("path", ["", ".", "/", ".."])
@pytest.mark.parametrize("format", FORMATS)
def test_a_path_without_a_name_is_refused(path: str, format: str):
    with pytest.raises(UsageError, match="names no file"):
        exported_paths(Path(path), format)


@pytest.mark.parametrize(("token", "format", "message"), [
    ("New York", "word2vec", "'New York' cannot be written as word2vec.*export it as npy or projector"),
    ("a\tb", "projector", "export it as npy"),
    ("a\nb", "npy", "leave it out"),
    ("", "glove", "leave it out"),
])  # fmt: skip
def test_tokens_that_a_format_cannot_hold_are_refused(token: str, format: str, message: str):
    vectors = vectors_of(["a", token, "b"], np.zeros((3, 2)))
    check_tokens(vectors, 1, format)
    with pytest.raises(InputError, match=message):
        check_tokens(vectors, 3, format)
