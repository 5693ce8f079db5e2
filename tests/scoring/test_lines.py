"""Lines and their tokens, where a token may go on over the end of a line."""

from __future__ import annotations

from seqtool.scoring.lines import document_starts, encode_lines
from seqtool.text.documents import TextBlock
from tests.text.small_byte_level import small_vocabulary


def test_a_token_belongs_to_the_line_that_it_begins_in():
    vocabulary = small_vocabulary("llama-3", normalize="nfc")
    blocks = [
        TextBlock("in.\n\nthe", True),
        TextBlock(" e\u0301\n", False),
        TextBlock("", True),
        TextBlock("her", True),
    ]
    ids, lines = encode_lines(vocabulary, blocks)
    pieces = [vocabulary.piece(index) for index in ids]
    assert pieces == ["in", ".ĊĊ", "the", "Ġ", "Ã©", "Ċ", "h", "er"]
    assert [(line.text, line.stop) for line in lines] == [
        ("in.\n", 2), ("\n", 2), ("the", 3), (" e\u0301\n", 6), ("", 6), ("her", 8)
    ]  # fmt: skip
    assert [line.begins for line in lines] == [True, False, False, False, True, True]
    assert [line.ends for line in lines] == [True, True, False, True, False, False]
    assert document_starts(lines) == [0, 6, 6]
