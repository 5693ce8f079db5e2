"""Rows of CoNLL columns: a token each."""

from __future__ import annotations

from seqtool.records.conll import UNIVERSAL, conll_rows
from seqtool.records.lines import Lines, Row


def test_what_is_no_token_is_left_out():
    text = "# text = a\n1-2\tau\t_\n1\ta\tP\n1.1\te\t_\n2\tle\tD\n\n\n-DOCSTART- -X-\n1\tb\tX\textra\n"
    assert list(conll_rows(Lines([text]), UNIVERSAL[:3], "\t")) == [
        Row(3, ("1", "a", "P")), Row(5, ("2", "le", "D")), Row(9, (None, None, None), "has 4 fields, not 3"),
    ]  # fmt: skip


def test_a_hash_can_be_a_token():
    text = "# a comment of words\n# O\nEU B-ORG\n"
    assert [row.values for row in conll_rows(Lines([text]), ("form", "tag"), " ")] == [("#", "O"), ("EU", "B-ORG")]
