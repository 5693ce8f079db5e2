"""Bytes become characters, however they arrive."""

from __future__ import annotations

import pytest

from seqtool.errors import InputError
from seqtool.files.streams import decode_utf8


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_characters_survive_any_chunking(size: int):
    data = "aé漢🙂\r\n\ufeffz".encode()
    assert "".join(decode_utf8([data[i : i + size] for i in range(0, len(data), size)], "x")) == data.decode()


def test_a_byte_order_mark_at_the_beginning_is_dropped():
    assert "".join(decode_utf8([b"\xef", b"\xbb\xbfabc"], "x")) == "abc"


@pytest.mark.parametrize(
    ("data", "offset"), [(b"ab\xff", 2), (b"abc\xc3", 3), (b"\xed\xa0\x80", 0), (b"a" * 9 + b"\x80", 9)]
)
def test_invalid_utf8_is_named_by_its_offset(data: bytes, offset: int):
    for size in (1, 4, 100):
        chunks = [data[i : i + size] for i in range(0, len(data), size)]
        with pytest.raises(InputError, match=f"offset {offset} "):
            list(decode_utf8(chunks, "file"))
    assert "\ufffd" in "".join(decode_utf8([data], "file", "replace"))


def test_a_binary_file_is_called_one():
    with pytest.raises(InputError, match="a binary file"):
        list(decode_utf8([b"\x7fELF\x00\x01\xfe\xff"], "file"))
