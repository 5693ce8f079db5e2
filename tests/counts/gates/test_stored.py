"""Gates as arrays: what was kept comes back, and what no gates leave is refused before it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from seqtool.counts.gates.stored import arrays_of, check_sizes, gates_of
from tests.counts.gates.test_gates import BEGIN, V, hostile, new_gates, told


def kept() -> dict[str, Any]:
    gates = new_gates(1)
    gates.read(gates.begin(1)[0], hostile(7, 80), [told(7, 80)], learn=True)
    return {name: array.copy() for name, array in arrays_of(gates).items()}


def test_what_was_kept_goes_on_as_before():
    gates = new_gates(1)
    gates.read(gates.begin(1)[0], hostile(7, 80), [told(7, 80)], learn=True)
    arrays = {name: array.copy() for name, array in arrays_of(gates).items()}
    for array in arrays.values():
        array.flags.writeable = False
    again = gates_of(arrays, 1, BEGIN)
    assert again.past_count == 80
    ids, log_p = hostile(8, 40), told(8, 40)
    assert again.read(again.begin(1)[0], ids, [log_p]).tolist() == gates.read(gates.begin(1)[0], ids, [log_p]).tolist()
    with pytest.raises(AssertionError, match="copy them"):
        again.read(again.begin(1)[0], ids, [log_p], learn=True)
    learned = [one.read(one.begin(1)[0], ids, [log_p], learn=True) for one in (again.copy(), gates)]
    assert learned[0].tolist() == learned[1].tolist()


def test_sizes_of_another_text_are_refused_before_anything_is_read():
    shapes = {name: array.shape for name, array in kept().items()}
    check_sizes(shapes, V, 80)
    for size, read in ((V + 1, 80), (V, 81), (10**9, 80)):
        with pytest.raises(ValueError, match="another text left"):
            check_sizes(shapes, size, read)
    with pytest.raises(ValueError, match="another text left"):
        check_sizes({}, V, 80)


def edited(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def edit(arrays: dict[str, Any]) -> None:
        arrays[name].flat[3] = value

    return edit


def replaced(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[dict[str, Any]], None]:
    def edit(arrays: dict[str, Any]) -> None:
        arrays[name] = change(arrays[name])

    return edit


@pytest.mark.parametrize(
    "edit, why",
    [
        (lambda arrays: arrays.pop("table"), "none of gates"),
        (lambda arrays: arrays.pop("maps"), "other sizes"),
        (lambda arrays: arrays.update(more=np.zeros(1)), "other sizes"),
        (replaced("maps", lambda a: a.astype(np.float64)), "other sizes"),
        (replaced("weights", lambda a: a[:, :16].copy()), "other sizes"),
        (replaced("table", lambda a: a[:4095].copy()), "sizes that there are not"),
        (replaced("found", lambda a: a[:, :3000].copy()), "sizes that there are not"),
        (edited("counts", -1), "counts of tokens"),
        (edited("counts", 1 << 60), "counts of tokens"),
        (edited("past", V), "vocabulary lacks"),
        (edited("past", -1), "vocabulary lacks"),
        (edited("found", 81), "beyond what was read"),
        (edited("found", -2), "beyond what was read"),
        (edited("weights", np.nan), "none could learn"),
        (edited("last", 1e30), "none could learn"),
        (edited("maps", 1.0), "a probability"),
        (edited("stages", np.nan), "a probability"),
        (edited("chances", 0.0), "a probability"),
        (edited("match_maps", -0.1), "a probability"),
    ],
)
def test_others_are_refused(edit: Callable[[dict[str, Any]], None], why: str):
    arrays = kept()
    edit(arrays)
    with pytest.raises(ValueError, match=why):
        gates_of(arrays, 1, BEGIN)


def test_any_table_is_safe_to_read_and_to_learn_with():
    arrays = kept()
    random = np.random.default_rng(1)
    arrays["table"] = random.integers(0, 1 << 32, arrays["table"].shape, np.uint32)
    arrays["followed"] = random.integers(0, 1 << 64, arrays["followed"].shape, np.uint64)
    gates = gates_of(arrays, 1, BEGIN).copy()
    nats = gates.read(gates.begin(1)[0], hostile(9, 500), [None], learn=True)
    assert np.isfinite(nats).all()
