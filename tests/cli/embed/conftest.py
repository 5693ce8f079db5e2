"""Vectors of a few words whose cosines are easy to compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtool.vectors.tokens import TokenTable
from seqtool.vectors.vectors import Vectors, write_vectors

TOKENS = ["man", "king", "woman", "queen", "a\tb\x1b", "naïve"]
MATRIX = [[1, 0, 0], [1, 0, 2], [0, 1, 0], [0, 1, 1.3], [-1, -1, -1], [0, 0, 1]]


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "some.vec"
    write_vectors(path, Vectors(TokenTable.of(TOKENS), np.array(MATRIX, np.float32), {"vocabulary_type": "word"}))
    return path


def cos(a: str, b: str) -> float:
    x, y = (np.array(MATRIX[TOKENS.index(word)]) for word in (a, b))
    return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))
