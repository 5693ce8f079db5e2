"""Vectors for and from other programs: bit for bit both ways, files made by hand byte by byte, and hostile ones."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.exchange.exporting_vectors import export_vectors
from seqtool.exchange.importing_vectors import import_vectors
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, write_vectors

IMPORTED = ("word2vec", "word2vec-binary", "glove")
ODD_TOKENS = ["the", "naïve", "🙂", "\u00a0", "\u2028", "3", "-1.5", "nan", "</s>", "a,b", '"', "\u2581the"]


def vectors_of(tokens: list[str], matrix: object) -> Vectors:
    return Vectors(TokenTable.of(tokens), np.array(matrix, np.float32), {"method": "test"})


@pytest.fixture
def every_float() -> Vectors:
    """Numbers from all over float32, denormal and the largest included."""
    bits = np.random.default_rng(0).integers(0, 1 << 32, 12 * 50, dtype=np.uint64).astype(np.uint32)
    numbers = bits.view(np.float32)
    numbers[:6] = [0.0, -0.0, 1e-45, -1e-45, np.finfo(np.float32).max, np.finfo(np.float32).tiny]
    return vectors_of(ODD_TOKENS, np.where(np.isfinite(numbers), numbers, np.float32(0.1)).reshape(12, 50))


@pytest.mark.parametrize("format", IMPORTED)
def test_numbers_and_tokens_come_back_bit_for_bit(every_float: Vectors, tmp_path: Path, format: str):
    file = tmp_path / "vectors"
    export_vectors(file, every_float, 12, format)
    imported = import_vectors(str(file))
    assert (imported.format, imported.left_out) == (format, 0)
    assert list(imported.vectors.tokens) == ODD_TOKENS
    assert imported.vectors.matrix_VD.tobytes() == every_float.matrix_VD.tobytes()
    again = tmp_path / "again"
    export_vectors(again, imported.vectors, 12, format)
    assert again.read_bytes() == file.read_bytes()


FLOATS = struct.pack("<2f", 1, 2), struct.pack("<2f", 3, 4)


@pytest.mark.parametrize(("content", "format", "tokens"), [
    (b"2 2\na 1 2\nb 3 4\n", "word2vec", ["a", "b"]),
    (b"2 2 \r\na 1 2 \r\nb\t3\t4", "word2vec", ["a", "b"]),
    (b"\xef\xbb\xbf2 2\na 1 2\n\nb 3e0 +4.\n\n", "word2vec", ["a", "b"]),
    (b"2 2\na %b\nb %b\n" % FLOATS, "word2vec-binary", ["a", "b"]),
    (b"2 2\na %bb %b" % FLOATS, "word2vec-binary", ["a", "b"]),
    (b"a 1 2\nb 3 4\n", "glove", ["a", "b"]),
    (b"5 1 2\nb 3 4", "glove", ["5", "b"]),
    (b"a 1 2\n. . . 3 4\n", "glove", ["a", ". . ."]),
    (b"3 2\na 1 2\nb 3 4\na 5 6\n", "word2vec", ["a", "b"]),
    (b"3 2\na %bb %ba %b" % (*FLOATS, FLOATS[0]), "word2vec-binary", ["a", "b"]),
])  # fmt: skip
def test_files_of_other_programs_are_read(tmp_path: Path, content: bytes, format: str, tokens: list[str]):
    (tmp_path / "file").write_bytes(content)
    imported = import_vectors(str(tmp_path / "file"))
    assert imported.format == format
    assert list(imported.vectors.tokens) == tokens
    assert imported.vectors.matrix_VD.tolist() == [[1, 2], [3, 4]]
    assert imported.left_out == (1 if content.startswith(b"3") else 0)


@pytest.mark.parametrize(("content", "message"), [
    (b"", "empty"),
    (b"hello\n", "line 1"),
    (b"hello world\n", "line 1"),
    (b"{}\n", "line 1"),
    (b"5 3", "5 vectors of 3 numbers, which its 3 bytes are too few"),
    (b"9999999 60000\na 1 2\n", "too few"),
    (b"99999999999999999 2\na 1 2\n", "are possible"),
    (b"1 99999999\na 1 2\n", "are possible"),
    (b"0 2\na 1 2\n", "are possible"),
    (b"2 2\na 1 2 \nb 3 \n", "line 3 has 1 number"),
    (b"2 2\na 1 2\nbbbb\n", "line 3 has 0 numbers"),
    (b"2 2\na 1 2\nb 3 4 5\n", "line 3 has more"),
    (b"a 1 2\nb 3 4 5\n", "line 2 has more"),
    (b"a 1 2\nb 3\n", "line 2 has 1 number"),
    (b"2 2\na 1 2      \n", "ends after 1 of the 2"),
    (b"1 2\na 1 2\nb 3 4\n", "line 3 is one more"),
    (b"a 1 2\nb 3 nan\n", "line 2 has a number that is not finite"),
    (b"a 1 2\nb 3 -inf\n", "line 2 has a number that is not finite"),
    (b"a 1 2\nb 3 1e39\n", "line 2 has a number that is not finite"),
    (b"a 1 2\nb 3 1_0\n", "line 2 has '1_0'"),
    (b"a 1 2\nb x 4\n", "line 2 has 'x'"),
    (b"a 1 2\n\xff 3 4\n", "line 2 is not UTF-8"),
    (b"a 1 2\n" + b"b" * 70_000 + b" 3 4\n", "line 2 is longer"),
    (b"2 2\na %bb %b" % (FLOATS[0], FLOATS[1][:-1]), "vector 2 of 2, at byte 14, is not whole"),
    (b"1 2\na %bb %b" % FLOATS, "at byte 14 there is more"),
    (b"2 2\na %b\xff %b" % FLOATS, "at byte 14 is not UTF-8"),
    (b"1 2\na %b" % struct.pack("<2f", 1, float("nan")), "byte 6 has a number that is not finite"),
    (b"2 2\na %b%b" % (FLOATS[0], bytes(70_000)), "vector 2 of 2"),
])  # fmt: skip
def test_what_is_not_whole_is_refused_by_line_or_byte(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(message)):
        import_vectors(str(tmp_path / "file"))


def test_bytes_that_are_not_utf8_can_be_replaced(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"\xff 1 2\n\xfe 3 4\nb 5 6\n")
    imported = import_vectors(str(tmp_path / "file"), errors="replace")
    assert list(imported.vectors.tokens) == ["\ufffd", "b"]
    assert imported.left_out == 1


def zipped(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("v.vec", content)
    return stream.getvalue()


@pytest.mark.parametrize(("content", "message"), [
    (gzip.compress(b"a 1 2\n", mtime=0), "is compressed: zcat FILE | seqtool embed import - -o VECTORS"),
    (zipped(b"a 1 2\n"), "is a zip archive"),
    (struct.pack("<2i", 793712314, 12) + bytes(100), "is fastText's own model: import the .vec"),
    *((pickle.dumps({"a": [1.0]}, protocol), "pickle, which is never read: save it with save_word2vec_format")
      for protocol in (2, 3, 4, 5)),
])  # fmt: skip
def test_files_that_are_taken_for_vectors_are_told_by_what_they_are(tmp_path: Path, content: bytes, message: str):
    (tmp_path / "file").write_bytes(content)
    for format in (None, *IMPORTED):
        with pytest.raises(InputError, match=re.escape(message)):
            import_vectors(str(tmp_path / "file"), format)


def test_vectors_of_our_own_need_no_import(tmp_path: Path):
    write_vectors(tmp_path / "v", vectors_of(["a"], [[1, 2]]))
    with pytest.raises(InputError, match="is vectors of seqtool already"):
        import_vectors(str(tmp_path / "v"))


def test_the_format_can_be_said(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"1 2\n3 4\n")
    assert import_vectors(str(tmp_path / "file"), "glove").vectors.matrix_VD.tolist() == [[2], [4]]
    (tmp_path / "file").write_bytes(b"a 1 2\n")
    with pytest.raises(InputError, match="--format glove"):
        import_vectors(str(tmp_path / "file"), "word2vec")


def test_any_cut_of_a_file_is_refused_or_read(every_float: Vectors, tmp_path: Path):
    """Cut anywhere, a file with sizes is refused, but for a text whose last number became another."""
    file = tmp_path / "file"
    for format in ("word2vec", "word2vec-binary"):
        export_vectors(file, every_float, 3, format)
        whole = file.read_bytes()
        last = whole.rindex(b" ") + 1 if format == "word2vec" else len(whole) - 1
        for size in reversed(range(0, last, 7)):
            os.truncate(file, size)
            with pytest.raises(InputError):
                import_vectors(str(file), format)
