"""Rows of a table to what a model reads."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.errors import InputError
from seqtool.records.lines import Row
from seqtool.runs.loading import load_run
from seqtool.tasks.examples.rows import CategoryColumn, Columns, NumberColumn, RowReader, columns_from, encode_texts

COLUMNS = Columns(("t",), (NumberColumn("n", 10.0, 2.0, True),), (CategoryColumn("c", ("x", "y")),))
NAMES = ("c", "n", "t")


def test_numbers_are_standardised_gaps_marked_and_other_values_are_one_of_their_own():
    reader = RowReader(COLUMNS, NAMES, None, 9, "a.csv")
    rows = [Row(2, ("x", "12", "a")), Row(3, ("z", None, None)), Row(4, (None, "1e300", "b")), Row(5, ("y", "10", "c"))]
    assert reader.numbers(rows).tolist() == [[1.0, 0.0], [0.0, 1.0], [30.0, 0.0], [0.0, 0.0]]
    assert reader.categories(rows).tolist() == [[1], [0], [0], [2]]
    assert COLUMNS.numbers == 2
    assert COLUMNS.categories == (3,)


def test_what_cannot_be_read_is_told():
    reader = RowReader(COLUMNS, NAMES, None, 9, "a.csv")
    assert reader.problem(Row(2, ("x", "many", "a"))) == "has 'many' in column n, which is no number"
    assert reader.problem(Row(2, (None,) * 3, "has 2 fields, not 3")) == "has 2 fields, not 3"
    assert reader.problem(Row(2, ("x", None, None))) == ""
    with pytest.raises(InputError, match=r"a\.csv lacks the column n, which the model reads; it has t, c"):
        RowReader(COLUMNS, ("t", "c"), None, 9, "a.csv")


def test_columns_come_back_as_they_were_and_edited_ones_are_refused():
    record = COLUMNS.as_record()
    assert columns_from(record, "config.json") == COLUMNS
    for edited in (
        {**record, "numeric": [["n", 0.0, 0.0, False]]},
        {**record, "text": [3]},
        {"text": []},
        {**record, "categorical": [["c", [1]]]},
    ):
        with pytest.raises(InputError, match="edited"):
            columns_from(edited, "config.json")


def test_texts_are_encoded_together_as_alone(small_run):
    import torch

    vocabulary = load_run(small_run, torch.device("cpu")).vocabulary
    texts = ["one", "", "two\nlines", "\n", "three ", " é🙂"]
    together = list(encode_texts(vocabulary, texts))
    assert [ids.tolist() for ids in together] == [vocabulary.encode(text).tolist() for text in texts]
    assert not list(encode_texts(vocabulary, []))
    reader = RowReader(Columns(("t",), (), ()), ("t",), vocabulary, 4, "a")
    ids = reader.ids([Row(1, ("abcdefgh",)), Row(2, (None,))])
    assert [len(one) for one in ids] == [5, 1]
    assert reader.cut == 1
    assert np.array_equal(ids[1], [vocabulary.begin_id])
