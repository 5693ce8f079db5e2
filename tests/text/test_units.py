"""Units are the text, and what is remembered of them changes nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import sentencepiece

from seqtool.files import streams
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.text import units
from seqtool.text.blocks import encode_blocks
from seqtool.text.documents import SEGMENT_CHARACTERS, TextSource, lines_of, segments_of
from seqtool.text.learning import learn_vocabulary
from seqtool.text.units import line_units, segment_units, unit_text, word_units
from seqtool.text.vocabulary import Vocabulary
from tests.conftest import ODD_STRINGS

LONG = ["a  b " * 5000, " " * 20_000 + "x", "x" * (SEGMENT_CHARACTERS - 1) + "  y\n" + "é" * SEGMENT_CHARACTERS + "\nz"]


@pytest.fixture(scope="module")
def vocabulary(prose_file: Path) -> Vocabulary:
    return learn_vocabulary(TextSource([str(prose_file)]), VocabularyConfig(type="bpe", size=600))


@pytest.mark.parametrize("split", [line_units, segment_units, word_units])
@pytest.mark.parametrize("text", [*ODD_STRINGS, *LONG])
def test_units_are_the_text(split, text: str):
    found = split(text)
    assert b"".join(unit_text(unit) + b"\n" * unit.endswith(b"\n") for unit in found).decode() == text
    if split is word_units:
        assert all(b" " not in unit_text(unit).lstrip(b" ") for unit in found)


@pytest.mark.parametrize("text", LONG)
def test_long_lines_are_cut_at_fixed_places(vocabulary: Vocabulary, text: str):
    """An independent oracle: the plain library on each segment."""
    plain = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.model)
    expected = []
    for line in lines_of(text):
        for segment in segments_of(line.removesuffix("\n")):
            expected += plain.encode(segment)
        expected += vocabulary.newline_ids * line.endswith("\n")
    assert vocabulary.encode(text).tolist() == expected


def test_forgetting_changes_nothing(
    vocabulary: Vocabulary, prose: str, prose_file: Path, monkeypatch: pytest.MonkeyPatch
):
    expected = vocabulary.encode(prose)
    monkeypatch.setattr(units, "MAX_UNITS", 50)
    monkeypatch.setattr(units, "MAX_UNIT_BYTES", 4)
    monkeypatch.setattr(streams, "READ_BYTES", 999)
    small = Vocabulary(vocabulary.model)
    ids = np.concatenate(list(encode_blocks(small, TextSource([str(prose_file)]).blocks())))
    assert np.array_equal(ids[1:], expected)
    assert max(map(len, small._encoder._units._ids)) <= 4
