"""The table of tokens: any string is found again, and inconsistent arrays are noticed."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.vectors.tokens import TokenTable
from tests.conftest import ODD_STRINGS


def test_tokens_are_found_whatever_they_are():
    names = list(dict.fromkeys([*ODD_STRINGS, "a", "b", "ab", "\ud800"]))
    tokens = TokenTable.of(names)
    assert [tokens.find(name) for name in names] == list(range(len(names)))
    assert [tokens[row] for row in range(len(names) - 1)] == names[:-1]
    assert tokens.find("not there") is None
    assert tokens.find("zzz") is None
    assert tokens.is_sound()
    with pytest.raises(InputError, match="'a' occurs twice"):
        TokenTable.of(["a", "b", "a"])


def test_look_up_is_that_of_a_dictionary():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abé\U0001f642"), rng.integers(1, 6))) for _ in range(900)]
    names = list(dict.fromkeys(words[:600]))
    tokens, rows = TokenTable.of(names), {name: row for row, name in enumerate(names)}
    assert [tokens.find(word) for word in words] == [rows.get(word) for word in words]
    assert list(tokens) == names


@pytest.mark.parametrize(("ends", "order"), [
    ([1, 3, 4], [0, 1, 2, 3]),
    ([1, 3, 2, 6], [0, 1, 2, 3]),
    ([1, 3, 4, 5], [0, 1, 2, 3]),
    ([1, 3, 4, 7], [0, 1, 2, 3]),
    ([-1, 3, 4, 6], [0, 1, 2, 3]),
    ([1, 3, 4, 6], [0, 1, 2, 2]),
    ([1, 3, 4, 6], [0, 1, 2, 4]),
    ([1, 3, 4, 6], [0, 1, 2]),
])  # fmt: skip
def test_arrays_that_are_not_consistent_are_noticed(ends: list[int], order: list[int]):
    text = np.frombuffer(b"abbcdd", np.uint8)
    assert TokenTable(text, np.array([1, 3, 4, 6]), np.arange(4, dtype=np.uint32)).is_sound()
    assert not TokenTable(text, np.array(ends), np.array(order, np.uint32)).is_sound()
