"""What several tests of commands share: a short text, vectors of some of its words, and a run that starts from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, write_vectors
from tests.conftest import Command

SHORT = ["--hidden", 24, "--batch-size", 8, "--steps", 4, "--vocab-type", "word", "-q"]


@pytest.fixture(scope="session")
def word_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vectors of a few words of the prose, of 20 numbers."""
    path = tmp_path_factory.mktemp("vectors") / "words.vectors"
    tokens = ["the", "a", "of", "is", "and", "Zanzibar"]
    rows = np.random.default_rng(1).standard_normal((6, 20)).astype(np.float32)
    write_vectors(path, Vectors(TokenTable.of(tokens), rows, {"method": "test", "vocabulary_type": "word"}))
    return path


@pytest.fixture(scope="session")
def frozen_run(
    seqtool: Command, short_text: Path, word_vectors: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run that started from the vectors and kept them."""
    path = tmp_path_factory.mktemp("runs") / "frozen"
    result = seqtool("train", short_text, "-o", path, "--embeddings", word_vectors, "--freeze", "embedding", *SHORT)
    assert result.returncode == 0, result.stderr.decode()
    return path
