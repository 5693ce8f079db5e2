"""Vectors and their file, with the vocabulary inside.

The file (see files/tensors.py) holds `vectors` (V, D) float32, a row a token, the most frequent first where that is
known; the tokens (see tokens.py); where unseen words get vectors from their character n-grams, `ngrams` (B, D) float32;
and where there is one, the SentencePiece model that splits text into the tokens, `vocabulary`. The metadata say how it
was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError, UsageError
from seqtool.files.tensors import AS_GIVEN, map_arrays, write_tensors
from seqtool.settings.embedding import LONGEST_NGRAM
from seqtool.settings.vocabulary import MAX_VOCABULARY
from seqtool.vectors.subwords import Ngrams
from seqtool.vectors.tokens import TokenTable

FloatMatrix = npt.NDArray[np.float32]

VECTORS_FORMAT = "seqtool vectors 1"
MAX_DIM = 1 << 16
ARRAYS = {
    "vectors": ("F32", 2), "ngrams": ("F32", 2), "ends": ("I64", 1), "order": ("U32", 1), "tokens": ("U8", 1),
    "vocabulary": ("U8", 1),
}  # fmt: skip
FOREIGN = (
    "not vectors of seqtool: make them with seqtool embed train, or bring word2vec's or GloVe's in with "
    "seqtool embed import"
)


@dataclass(frozen=True)
class Vectors:
    """V tokens and a vector of D numbers for each, with `metadata` on how they were made.

    `ngrams_BD` has B = 0 rows where unseen words have no vector; `model` is empty where there is no vocabulary.
    """

    tokens: TokenTable
    matrix_VD: FloatMatrix
    metadata: dict[str, Any]
    ngrams_BD: FloatMatrix = field(default_factory=lambda: np.empty((0, 0), np.float32))
    model: bytes = b""

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return int(self.matrix_VD.shape[1])

    @property
    def ngrams(self) -> Ngrams:
        """The n-grams that the rows of `ngrams_BD` are for."""
        shortest, longest = self.metadata["ngrams"]
        return Ngrams(shortest, longest, len(self.ngrams_BD))

    def of(self, token: str) -> FloatMatrix | None:
        """The vector (D,) of a token, or the mean of an unseen word's learned n-grams; None where there is neither."""
        row = self.tokens.find(token)
        if row is not None:
            return self.matrix_VD[row]
        if not len(self.ngrams_BD):
            return None
        rows_ND = self.ngrams_BD[self.ngrams.of(token)]
        learned = rows_ND.any(axis=1)  # the row of an n-gram that no word of the text has is zero
        if not learned.any():
            return None
        mean_D: FloatMatrix = rows_ND[learned].mean(axis=0, dtype=np.float64).astype(np.float32)
        return mean_D


def write_vectors(path: Path, vectors: Vectors) -> None:
    """Write vectors, atomically. The same content gives the same bytes."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "vectors": vectors.matrix_VD,
        "ngrams": vectors.ngrams_BD.reshape(-1, vectors.dim),
        "ends": vectors.tokens.ends,
        "order": vectors.tokens.order,
        "tokens": vectors.tokens.text,
        "vocabulary": np.frombuffer(vectors.model, dtype=np.uint8),
    }
    write_tensors(path, arrays, {"format": VECTORS_FORMAT, **vectors.metadata}, AS_GIVEN)


def is_vectors(path: Path) -> bool:
    """Whether a file looks like seqtool's vectors."""
    try:
        with open(path, "rb") as stream:
            return VECTORS_FORMAT.encode() in stream.read(1 << 16)
    except OSError:
        return False


def read_vectors(path: Path) -> Vectors:
    """Check the hash of a file of vectors, and map it into memory.

    InputError, with the mend, when it is missing, of another kind, cut short, damaged or edited.
    """
    if str(path) == "-":
        raise UsageError("vectors are read by memory map and cannot come from standard input: name a file")
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name, or make it with seqtool embed train")
    if path.is_dir():
        raise InputError(f"{path} is a directory: name a file of vectors (of a run: seqtool embed from RUN)")
    arrays, metadata = map_arrays(path, ARRAYS, VECTORS_FORMAT, FOREIGN)
    tokens = TokenTable(arrays["tokens"], arrays["ends"], arrays["order"])
    matrix_VD, ngrams_BD = arrays["vectors"], arrays["ngrams"]
    if not (
        0 < len(matrix_VD) == len(tokens) <= MAX_VOCABULARY
        and 0 < matrix_VD.shape[1] == ngrams_BD.shape[1] <= MAX_DIM
        and tokens.is_sound()
        and _has_ngrams(metadata, len(ngrams_BD))
    ):
        raise InputError(f"{path} holds parts that do not fit each other: it was edited; make it again")
    del metadata["format"]
    return Vectors(tokens, matrix_VD, metadata, ngrams_BD, arrays["vocabulary"].tobytes())


def _has_ngrams(metadata: Mapping[str, Any], rows: int) -> bool:
    """Whether the metadata give the shortest and longest n-gram, as they must when there are n-gram rows."""
    said = metadata.get("ngrams")
    return not rows or (
        isinstance(said, list)
        and [type(length) for length in said] == [int, int]
        and 1 <= said[0] <= said[1] <= LONGEST_NGRAM
    )
