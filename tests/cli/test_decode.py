"""`seqtool decode`, by the real command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.conftest import Command


def test_encode_and_decode_give_back_the_exact_bytes(shell: Command, small_run: Path, tmp_path: Path):
    text = "two  words\r\n\n\ttab ▁ 🙂\n no newline at the end".encode()
    (tmp_path / "text").write_bytes(text)
    vocab = small_run / "vocab.model"
    result = shell(f"seqtool encode text --vocab {vocab} | tee ids | seqtool decode --vocab {vocab}", cwd=tmp_path)
    assert result.stdout == text, result.stderr.decode()
    assert len((tmp_path / "ids").read_text().splitlines()) == 4
    result = shell(f"tr '\\n' ' ' < ids | seqtool decode - --vocab {vocab}", cwd=tmp_path)
    assert result.stdout == text


@pytest.mark.parametrize(("ids", "message"), [
    (b"5 99999 6", "id 99999 is not in"), (b"5 6x 7", "'6x'"), (b"3 x 4", "'x'"), (b"99999999", "id 99999999"),
    (b"-1", "'-1'"), (b"1e3", "'1e3'"),
])  # fmt: skip
def test_ids_that_are_none_of_the_vocabularys_are_3(seqtool: Command, small_run: Path, ids: bytes, message: str):
    assert message in error_of(seqtool("decode", "--vocab", small_run / "vocab.model", stdin=ids), 3)
