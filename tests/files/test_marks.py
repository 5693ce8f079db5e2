"""What is not text is refused by what it begins with, however it arrives; text never is."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import safetensors.numpy

from seqtool.errors import InputError
from seqtool.files.marks import refuse_marked
from tests.conftest import ODD_STRINGS

TEXT = b"so much for a text, and a line more of it\n" * 20


def zipped(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, TEXT)
    return stream.getvalue()


def in_tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("text.txt")
        entry.size = len(TEXT)
        archive.addfile(entry, io.BytesIO(TEXT))
    return stream.getvalue()


OTHERS = {
    "twice, .* as in gzip -dc": gzip.compress(TEXT),
    "twice, .* as in bzip2 -dc": bz2.compress(TEXT),
    "twice, .* as in xz -dc": lzma.compress(TEXT),
    "twice, .* as in zstd -dc": b"\x28\xb5\x2f\xfd\x24\x05",
    "7z x -so": b"7z\xbc\xaf\x27\x1c\x00\x04",
    "unzip -p": zipped("text.txt"),
    "tar -xOf": in_tar(),
    "iconv -f UTF-16 ": TEXT.decode().encode("utf-16"),
    "iconv -f UTF-32 ": TEXT.decode().encode("utf-32"),
    "iconv -f UTF-16LE": TEXT.decode().encode("utf-16-le"),
    "iconv -f UTF-16BE": TEXT.decode().encode("utf-16-be"),
    "iconv -f UTF-32LE": TEXT.decode().encode("utf-32-le"),
    "iconv -f UTF-32BE": TEXT.decode().encode("utf-32-be"),
    "pdftotext FILE -": b"%PDF-1.7\n%\xb5\xb5",
    "an office document": zipped("[Content_Types].xml"),
    "a picture": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "a file of tensors": safetensors.numpy.save({"x": np.zeros(3)}),
    "a Python pickle": pickle.dumps({"a": 1}),
    "an SQLite database": b"SQLite format 3\0",
    "a GGUF model": b"GGUF\x03\0\0\0\x01\0",
}


@pytest.mark.parametrize("said", OTHERS)
def test_what_is_not_text_is_named_with_its_mend(said: str):
    for size in (1, 7, 1 << 18):
        chunks = [OTHERS[said][start : start + size] for start in range(0, len(OTHERS[said]), size)]
        with pytest.raises(InputError, match=said):
            list(refuse_marked(chunks, "standard input", "-"))


@pytest.mark.parametrize(
    "text",
    [
        *ODD_STRINGS,
        "PK is not a zip, %PDF no PDF, GGUF no model, BZh9 no archive, 7z, Rar!, GIF89a, RIFF",
        "GIF89a is a picture's beginning",
        "PAR1 is a way to begin",
        "a\0b\0",
        "\0\0\0\n",
        "\n\n\n<s>",
    ],
)
def test_text_is_given_as_it_came(text: str):
    data = text.encode()
    for size in (1, 1 << 18):
        chunks = [data[start : start + size] for start in range(0, len(data), size)]
        assert b"".join(refuse_marked(chunks, "file", "file")) == data


def test_the_first_line_of_a_stream_does_not_wait_for_more():
    def chunks():
        yield b"one\n"
        raise AssertionError("read on")

    assert next(refuse_marked(chunks(), "file", "file")) == b"one\n"
