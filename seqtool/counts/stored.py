"""An n-gram model as named arrays, for the file of a run's weights, and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.counts.model import NgramModel
from seqtool.files.tensors import WIDTHS

PROBABILITY = 1e-6  # how far above 0 rounding may leave log p


def shapes_of(sizes: Sequence[int]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The types, as safetensors calls them, and shapes of the arrays of a model with so many n-grams of each order."""
    shapes: dict[str, tuple[str, tuple[int, ...]]] = {}
    for k, size in enumerate(sizes, start=1):
        shapes[f"log_p.{k}"] = ("F64", (size,))
        if k > 1:
            shapes[f"tokens.{k}"] = ("I32", (size,))
        if k < len(sizes):
            shapes[f"backoffs.{k}"] = ("F64", (size,))
            shapes[f"firsts.{k}"] = ("I32", (size + 1,))
    return shapes


def numbers_of(sizes: Sequence[int]) -> int:
    """How many numbers these arrays have in all."""
    return sum(math.prod(shape) for _, shape in shapes_of(sizes).values())


def bytes_of(sizes: Sequence[int]) -> int:
    """How many bytes they take."""
    return sum(WIDTHS[dtype] * math.prod(shape) for dtype, shape in shapes_of(sizes).values())


def arrays_of(model: NgramModel) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a model by name."""
    arrays: dict[str, npt.NDArray[Any]] = {}
    for k in range(1, model.order + 1):
        arrays[f"log_p.{k}"] = model.log_p[k - 1]
        if k > 1:
            arrays[f"tokens.{k}"] = model.tokens[k - 2]
        if k < model.order:
            arrays[f"backoffs.{k}"] = model.backoffs[k - 1]
            arrays[f"firsts.{k}"] = model.firsts[k - 1]
    return arrays


def model_of(arrays: Mapping[str, npt.NDArray[Any]], order: int, begin_id: int) -> NgramModel:
    """The model of such arrays; ValueError where they are not what `arrays_of` gives."""
    model = NgramModel(
        begin_id,
        [arrays[f"tokens.{k}"] for k in range(2, order + 1)],
        [arrays[f"firsts.{k}"] for k in range(1, order)],
        [arrays[f"log_p.{k}"] for k in range(1, order + 1)],
        [arrays[f"backoffs.{k}"] for k in range(1, order)],
    )
    for tokens, firsts in zip(model.tokens, model.firsts, strict=True):
        counts = np.diff(firsts)
        if firsts[0] != 0 or firsts[-1] != len(tokens) or (counts < 0).any():
            raise ValueError("n-grams that no shorter one begins")
        if len(tokens) and not (tokens.min() >= 0 and tokens.max() < model.vocab_size):
            raise ValueError("n-grams of other symbols")
        falls = tokens[1:] <= tokens[:-1]
        inner = firsts[1:-1]
        begins = np.zeros(len(tokens) + 1, bool)
        begins[inner] = True
        if (falls & ~begins[1 : len(tokens)]).any():
            raise ValueError("n-grams out of order")
    if any(np.isnan(values).any() or (values > PROBABILITY).any() for values in model.log_p):
        raise ValueError("a probability that is none")
    if not all(np.isfinite(values).all() for values in model.backoffs):
        raise ValueError("a back-off that is none")
    return model
