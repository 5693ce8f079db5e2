"""The settings of a vocabulary, and what may separate documents."""

from __future__ import annotations

import dataclasses

import pytest

from seqtool.settings.checking import check
from seqtool.settings.vocabulary import (
    LEARNED_BY,
    LONGEST_SYMBOL,
    MAX_SYMBOLS,
    VOCABULARY_TYPES,
    VocabularyConfig,
    is_document_break,
)


@pytest.mark.parametrize(("value", "is_one"), [
    ("file", True), ("blank-line", True), ("line", True), ("at:---", True), ("at: ", True), ("at:é🙂", True),
    ("at:", False), ("lines", False), ("", False), ("at:\udce9", False), (None, False), (3, False),
])  # fmt: skip
def test_what_separates_documents(value: object, is_one: bool):
    assert is_document_break(value) == is_one


@pytest.mark.parametrize(("given", "symbols"), [
    ("", []), ("<sep>", ["<sep>"]), ("<sep>,<user>", ["<sep>", "<user>"]), ("<a>,", ["<a>", ""]),
])  # fmt: skip
def test_symbols_are_separated_by_commas(given: str, symbols: list[str]):
    assert VocabularyConfig(symbols=given).symbol_list == symbols


def test_only_symbols_of_some_length_and_number_are_kept_whole():
    assert check(VocabularyConfig(symbols="x" * LONGEST_SYMBOL)) == []
    assert check(VocabularyConfig(symbols=",".join(f"<{n}>" for n in range(MAX_SYMBOLS)))) == []
    for given in ("x" * (LONGEST_SYMBOL + 1), "<a>,", ",".join(f"<{n}>" for n in range(MAX_SYMBOLS + 1))):
        assert "--symbols" in check(VocabularyConfig(symbols=given))[0]


def test_settings_of_some_types_are_settings_and_their_help_says_so():
    fields = {item.name: item.metadata for item in dataclasses.fields(VocabularyConfig)}
    for name, types in LEARNED_BY.items():
        assert {*types} < {*VOCABULARY_TYPES}
        assert fields[name]["help"].startswith(f"{', '.join(types)}: ")
