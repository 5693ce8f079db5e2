"""The file of vectors: exact, readable by others, and refused when any byte of it changed."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from seqtool.errors import InputError
from seqtool.files.tensors import HASHED_BYTES
from seqtool.vectors.subwords import Ngrams
from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, is_vectors, read_vectors, write_vectors
from tests.conftest import ODD_STRINGS


def some_vectors(tokens: list[str], dim: int = 5, **more) -> Vectors:
    rng = np.random.default_rng(1)
    return Vectors(
        TokenTable.of(tokens), rng.normal(size=(len(tokens), dim)).astype(np.float32), {"method": "test"}, **more
    )


def test_vectors_come_back_bit_for_bit(tmp_path: Path):
    before = some_vectors(ODD_STRINGS[1:], model=b"any bytes")
    write_vectors(tmp_path / "v", before)
    after = read_vectors(tmp_path / "v")
    assert after.matrix_VD.tobytes() == before.matrix_VD.tobytes()
    assert list(after.tokens) == ODD_STRINGS[1:]
    assert after.model == b"any bytes"
    assert after.metadata == {"method": "test"}
    assert after.dim == 5
    assert is_vectors(tmp_path / "v")
    assert not is_vectors(tmp_path)
    write_vectors(tmp_path / "w", after)
    assert (tmp_path / "v").read_bytes() == (tmp_path / "w").read_bytes()
    others = safetensors.numpy.load_file(tmp_path / "v")
    assert (others["vectors"] == before.matrix_VD).all()


def test_any_changed_byte_is_found(tmp_path: Path):
    write_vectors(tmp_path / "v", some_vectors(["king", "queen", "man"]))
    content = (tmp_path / "v").read_bytes()
    with open(tmp_path / "v", "r+b", buffering=0) as stream:
        for place, byte in enumerate(content):
            os.pwrite(stream.fileno(), bytes([byte ^ 1 << place % 8]), place)
            with pytest.raises(InputError):
                read_vectors(tmp_path / "v")
            os.pwrite(stream.fileno(), bytes([byte]), place)
    read_vectors(tmp_path / "v")
    for length in (0, 1, 7, 8, 100, len(content) - 1):
        (tmp_path / "d").write_bytes(content[:length])
        with pytest.raises(InputError):
            read_vectors(tmp_path / "d")
    (tmp_path / "d").write_bytes(content + b"\0")
    with pytest.raises(InputError, match="cut short or added to"):
        read_vectors(tmp_path / "d")


def test_damage_beyond_the_first_hashed_piece_is_found(tmp_path: Path):
    write_vectors(tmp_path / "v", some_vectors([f"w{i}" for i in range(30_000)], dim=100))
    content = bytearray((tmp_path / "v").read_bytes())
    assert len(content) > 2 * HASHED_BYTES
    content[-1] ^= 1
    (tmp_path / "v").write_bytes(content)
    with pytest.raises(InputError, match="damaged or edited"):
        read_vectors(tmp_path / "v")


def test_a_header_that_promises_too_much_takes_no_memory(tmp_path: Path):
    write_vectors(tmp_path / "v", some_vectors(["king", "queen"]))
    content = (tmp_path / "v").read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    for shape in ([10**12, 10**6], [-1, 5], [2.5, 4], ["2", 5], [2], None):
        header["vectors"]["shape"] = shape
        forged = json.dumps(header).encode()
        (tmp_path / "d").write_bytes(struct.pack("<Q", len(forged)) + forged + content[8 + length :])
        with pytest.raises(InputError):
            read_vectors(tmp_path / "d")


def test_arrays_that_do_not_fit_each_other_are_refused_though_their_hash_is_right(tmp_path: Path):
    whole = some_vectors(["aa", "bb", "cc", "dd"], ngrams_BD=np.ones((4, 5), np.float32))
    whole.metadata["ngrams"] = [3, 6]
    for ends in ([2**63 - 1, -(2**63), -1, 8], [2, 4, 6, 9], [2, 4, 3, 8], [-1, 4, 6, 8]):
        forged = TokenTable(whole.tokens.text, np.array(ends), whole.tokens.order)
        write_vectors(tmp_path / "v", Vectors(forged, whole.matrix_VD, {}))
        with pytest.raises(InputError, match="do not fit each other"):
            read_vectors(tmp_path / "v")
    for order in ([0, 1, 2, 2], [0, 1, 2, 4], [0, 1, 2, 2**32 - 1]):
        forged = TokenTable(whole.tokens.text, whole.tokens.ends, np.array(order, np.uint32))
        write_vectors(tmp_path / "v", Vectors(forged, whole.matrix_VD, {}))
        with pytest.raises(InputError, match="do not fit each other"):
            read_vectors(tmp_path / "v")
    for ngrams in (None, [3], [1, 10**9], [0, 3], [4, 3], ["1", 2]):
        whole.metadata["ngrams"] = ngrams
        write_vectors(tmp_path / "v", whole)
        with pytest.raises(InputError, match="do not fit each other"):
            read_vectors(tmp_path / "v")


def test_other_files_are_refused_with_the_mend(tmp_path: Path):
    (tmp_path / "text").write_text("2 3\nking 1 2 3\nqueen 4 5 6\n" * 20)
    with pytest.raises(InputError, match="seqtool embed import"):
        read_vectors(tmp_path / "text")
    with pytest.raises(InputError, match="does not exist"):
        read_vectors(tmp_path / "nothing")
    with pytest.raises(InputError, match="is a directory"):
        read_vectors(tmp_path)
    safetensors.numpy.save_file({"vectors": np.zeros((2, 2), np.float32)}, tmp_path / "other")
    with pytest.raises(InputError, match="not vectors of seqtool"):
        read_vectors(tmp_path / "other")


def test_an_unseen_word_is_the_mean_of_its_learned_ngrams(tmp_path: Path):
    ngrams = np.zeros((64, 5), np.float32)
    known = Ngrams(3, 6, 64)
    ngrams[known.of("kings")] = np.random.default_rng(0).normal(size=(len(known.of("kings")), 5))
    vectors = some_vectors(["king"], ngrams_BD=ngrams)
    vectors.metadata["ngrams"] = [3, 6]
    write_vectors(tmp_path / "v", vectors)
    after = read_vectors(tmp_path / "v")
    rows = [row for row in known.of("kings") if ngrams[row].any()]
    np.testing.assert_allclose(after.of("kings"), ngrams[rows].mean(0), rtol=1e-6)
    assert after.of("x") is None
    assert (after.of("king") == vectors.matrix_VD[0]).all()
