"""Gates as named arrays, for a file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from seqtool.counts.gates.gates import LEAST_BUCKETS, MOST_BUCKETS, WAYS, Gates, learned_shapes

Array = npt.NDArray[Any]

MOST_WEIGHT = 1e4  # far more than any that is learned
PROBABILITIES = ("maps", "chances", "stages", "match_maps")


def arrays_of(gates: Gates) -> dict[str, Array]:
    """All that gates know; `past` without the room behind it."""
    return {**gates.arrays, "past": gates.arrays["past"][: gates.past_count]}


def check_sizes(shapes: Mapping[str, tuple[int, ...]], vocab_size: int, past_count: int) -> None:
    """ValueError where arrays of these shapes are not of gates for so many tokens, which read so many."""
    if (shapes.get("counts"), shapes.get("past")) != ((vocab_size,), (past_count,)):
        raise ValueError("what another text left")


def gates_of(arrays: Mapping[str, Array], models: int, begin_id: int) -> Gates:
    """The gates of such arrays, which may be read-only; ValueError where they are not what `arrays_of` gives."""
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {}
    try:
        size, tokens = len(arrays["counts"]), len(arrays["past"])
        buckets, places = len(arrays["table"]), arrays["found"].shape[1]
    except (KeyError, IndexError, TypeError):
        raise ValueError("arrays that are none of gates") from None
    for name, dtype, count in (
        ("counts", np.int64, size),
        ("words", np.int32, size),
        ("kinds", np.uint8, size),
        ("past", np.int32, tokens),
    ):
        expected[name] = dtype, (count,)
    expected |= learned_shapes(models, buckets, places)
    if {name: (array.dtype, array.shape) for name, array in arrays.items()} != {
        name: (np.dtype(dtype), shape) for name, (dtype, shape) in expected.items()
    }:
        raise ValueError("arrays of other sizes")
    if buckets.bit_count() != 1 or not max(WAYS, LEAST_BUCKETS) <= buckets <= MOST_BUCKETS or places.bit_count() != 1:
        raise ValueError("tables of sizes that there are not")
    if size < 2 or arrays["counts"].min() < 0 or arrays["counts"].sum(dtype=np.float64) >= 1 << 40:
        raise ValueError("counts of tokens that there are not")
    past, found = arrays["past"], arrays["found"]
    if tokens and not (past.min() >= 0 and past.max() < size):
        raise ValueError("tokens that the vocabulary lacks")
    if not (found.min() >= -1 and found.max() <= tokens):
        raise ValueError("matches beyond what was read")
    if not all(
        np.isfinite(arrays[name]).all() and abs(arrays[name]).max() <= MOST_WEIGHT for name in ("weights", "last")
    ):
        raise ValueError("weights that none could learn")
    if not all(arrays[name].min() > 0 and arrays[name].max() < 1 for name in PROBABILITIES):
        raise ValueError("a probability that is none")
    return Gates(dict(arrays), models, begin_id, tokens)
