"""Pretrained vectors as the initial embedding of a model.

Shapes: V vocabulary, M symbols with a pretrained vector, D numbers in a vector.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from seqtool.errors import InputError
from seqtool.files.writing import file_sha256
from seqtool.text.normalizing import SPACE
from seqtool.text.vocabulary import Vocabulary
from seqtool.vectors.vectors import FloatMatrix, Vectors

WORD_VOCABULARIES = ("word", "")
"""Types of the vectors' vocabulary in which a word has no sign for the space before it."""


@dataclass(frozen=True)
class PretrainedRows:
    """Pretrained vectors `rows_MD` of the symbols `ids_M`, and a `record` of where they come from.

    The record counts the symbols and tokens of the training text, and those that have a vector.
    """

    ids_M: npt.NDArray[np.int64]
    rows_MD: FloatMatrix
    record: dict[str, Any]


def match_pretrained(
    path: Path, vectors: Vectors, vocabulary: Vocabulary, seen_counts: Mapping[int, int]
) -> PretrainedRows:
    """Match the vectors that were read from `path` with the pieces of a vocabulary.

    InputError when none matches, or a vector that matches is not finite, or so large that its square is not.
    """
    rows = matched_rows(vectors, vocabulary)
    if not rows:
        raise InputError(
            f"--embeddings {path}: none of its tokens is a symbol of the vocabulary; "
            "give vectors of words to --vocab-type word, or --vocab the vocabulary that they were learned with"
        )
    rows_MD = vectors.matrix_VD[list(rows.values())]
    with np.errstate(over="ignore"):
        if not np.isfinite(np.square(rows_MD).sum()):
            raise InputError(
                f"--embeddings {path}: a vector has a number that is not finite, or too large to be squared: "
                "make the vectors again"
            )
    record = {
        "name": str(path),
        "sha256": file_sha256(path),
        "symbols": len(seen_counts),
        "matched_symbols": sum(index in rows for index in seen_counts),
        "tokens": sum(seen_counts.values()),
        "matched_tokens": sum(count for index, count in seen_counts.items() if index in rows),
    }
    return PretrainedRows(np.array(list(rows)), rows_MD, record)


def matched_rows(vectors: Vectors, vocabulary: Vocabulary) -> dict[int, int]:
    """The row of each symbol's vector, by the symbol's id, for those that have one.

    Where the vectors are of words, a piece that begins with the sign for a space also matches the word without it.
    """
    of_words = vectors.metadata.get("vocabulary_type", "") in WORD_VOCABULARIES
    rows = {}
    for index in range(vocabulary.size):
        token = vocabulary.token(index)
        row = vectors.tokens.find(token)
        if row is None and of_words and len(token) > 1 and token.startswith(SPACE):
            row = vectors.tokens.find(token[1:])
        if row is not None:
            rows[index] = row
    return rows


def pretrained_message(record: dict[str, Any]) -> str:
    """How much of the vocabulary and of the text starts from a given vector."""
    shares = [record[f"matched_{name}"] / record[name] for name in ("symbols", "tokens")]
    return (
        f"{record['matched_symbols']:,} of {record['symbols']:,} symbols start from {record['name']} "
        f"({shares[0]:.1%}); they are {shares[1]:.1%} of the text's tokens"
    )


@torch.no_grad()
def initialise_embedding(embedding: nn.Embedding, pretrained: PretrainedRows) -> None:
    """Set the rows that have a vector; scale the others, which stay random, to the same root mean square."""
    known_MD, weight_VD = torch.from_numpy(pretrained.rows_MD), embedding.weight
    others = torch.ones(len(weight_VD), dtype=torch.bool)
    others[torch.from_numpy(pretrained.ids_M)] = False
    if others.any():
        random_rms = weight_VD[others].square().mean().sqrt()
        weight_VD[others] *= known_MD.square().mean().sqrt() / random_rms
    weight_VD[torch.from_numpy(pretrained.ids_M)] = known_MD
