"""Headers of llama2.c and llm.c are held against the length of the file before anything is read."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from seqtool.errors import InputError
from seqtool.exchange.bin_models import is_bin_model, read_bin


@pytest.mark.parametrize(("head", "told"), [
    (struct.pack("<7i", 64, 128, 2, 4, 2, 300, 1 << 23), "bytes long, where its header promises"),
    (struct.pack("<7i", 64, 128, 5_000_000, 4, 2, 300, 64), "bytes long, where its header promises"),
    (struct.pack("<7i", 64, 128, 2, 5, 5, 300, 64), "64 numbers for 5 heads"),
    (struct.pack("<7i", 64, 128, 2, 4, 3, 300, 64), "64 numbers for 4 heads, 3 of them of keys"),
    (struct.pack("<7i", 64, 128, 0, 4, 4, 300, 64), "promises impossible sizes"),
    (struct.pack("<9i", 0x616B3432, 3, 64, 128, 2, 4, 4, 300, 64), "is of version 3 of llama2.c: versions 0, 1 and 2"),
    (struct.pack("<9iBi", 0x616B3432, 2, 64, 128, 2, 4, 4, 300, 64, 1, 0), "scales for groups of 0 numbers"),
    (struct.pack("<9iBi", 0x616B3432, 2, 64, 128, 2, 4, 4, 300, 64, 1, 48), "has 64 numbers in groups of 48"),
    (struct.pack("<9iBi", 0x616B3432, 2, 64, 128, 2, 4, 4, 300, 64, 1, 32), "bytes long, where its header promises"),
    (struct.pack("<8i", 20240326, 9, 64, 300, 2, 4, 64, 384), "is of version 9 of llm.c: versions 1, 3 and 5"),
    (struct.pack("<8i", 20240326, 3, 64, 300, 2, 4, 64, 128), "has 300 symbols in 128 rows"),
    (struct.pack("<7i", -1, 0, 0, 0, 0, 0, 0), "is no model of llama2.c or llm.c"),
    (b"short", "is no model of llama2.c or llm.c"),
])  # fmt: skip
def test_what_a_header_cannot_say_is_told(head: bytes, told: str, tmp_path: Path):
    (tmp_path / "m.bin").write_bytes(head if told.endswith("llm.c") else head.ljust(2000, b"\0"))
    with pytest.raises(InputError) as caught:
        read_bin(tmp_path / "m.bin")
    assert told in str(caught.value)


def test_a_file_is_known_by_its_header():
    assert is_bin_model(struct.pack("<8i", 20240326, 3, 1, 1, 1, 1, 1, 1), 4000)
    assert is_bin_model(struct.pack("<7i", 64, 128, 2, 4, 2, -300, 64), 4000)
    assert not is_bin_model(b"", 0)
