"""Rows come in blocks as they arrive, and what is wrong with one comes after those before it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seqtool.errors import InputError
from seqtool.records.lines import Row
from seqtool.tasks.examples.asking import arriving


def four_rows(broken: bool) -> Iterator[Row]:
    """Four rows, and perhaps a fifth that cannot be read."""
    for number in range(4):
        yield Row(number, ())
    if broken:
        raise InputError("line 5 is broken")


@pytest.mark.parametrize("waits", [False, True])
def test_blocks_hold_every_row_in_order(waits: bool):
    blocks = list(arriving(four_rows(broken=False), waits, 3))
    assert [row.number for block in blocks for row in block] == [0, 1, 2, 3]
    assert all(1 <= len(block) <= 3 for block in blocks)


@pytest.mark.parametrize("waits", [False, True])
def test_an_error_comes_after_the_rows_before_it(waits: bool):
    seen = []
    blocks = arriving(four_rows(broken=True), waits, 3)
    with pytest.raises(InputError, match="line 5"):
        seen.extend(row.number for block in blocks for row in block)
    assert seen == [0, 1, 2, 3]
