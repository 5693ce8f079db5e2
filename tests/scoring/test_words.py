"""Tokens belong to words, whatever they are pieces of, and every one to exactly one."""

from __future__ import annotations

import random

import numpy as np
import pytest

from seqtool.scoring.rows import OpenWord
from seqtool.scoring.words import units_of
from seqtool.text.tables import ByteTable

SPACES = " \t\r\f\v\x1c\x85\u00a0\u2003\u3000"


def one_by_one(text: str) -> list[str]:
    """The units of a text, read a character at a time."""
    units, space, word = [], "", ""
    for character in [*text, None]:
        if word and (character is None or character.isspace()):
            units.append(word)
            space = word = ""
        if character == "\n":
            units.append("\n")
            space = ""
        elif character is not None:
            space, word = (space + character, "") if character.isspace() else (space, word + character)
    return [*units, *([space] if space else [])]


def pieces_of(text: str, draw: random.Random) -> list[bytes]:
    """The bytes of a text cut anywhere, inside characters and across words, with some pieces of no bytes."""
    data = text.encode()
    cuts = sorted(draw.choices(range(len(data) + 1), k=draw.randrange(len(data) + 3)))
    return [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


class Table:
    """A vocabulary of the pieces at hand."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.token_table = ByteTable(pieces)


@pytest.mark.parametrize("seed", range(60))
def test_units_are_those_of_a_slow_reader_and_add_up(seed: int):
    draw = random.Random(seed)
    documents = [
        "".join(draw.choices([*"aé🙂", *SPACES, "\n", " ", " ", "ab"], k=draw.choice([0, 1, 3, 30]))) for _ in range(3)
    ]
    split = [pieces_of(document, draw) for document in documents]
    pieces = [piece for parts in split for piece in parts]
    starts = np.cumsum([0, *map(len, split[:-1])])
    ids, nats = np.arange(len(pieces)), np.random.default_rng(seed).random(len(pieces)).astype(np.float32)
    expected = [unit for document in documents for unit in one_by_one(document)]
    whole = [place for place in range(1, len(pieces)) if is_whole(b"".join(pieces[:place]))]
    for cuts in ([], whole):  # parts end with characters, as those of a text do
        words, rows = OpenWord(Table(pieces)), []
        for begin, end in zip([0, *cuts], [*cuts, len(pieces)], strict=True):
            inside = [start - begin for start in starts.tolist() if begin <= start < end]
            part = slice(begin, end)
            rows += words.take(ids[part], nats[part], np.ones(end - begin, bool), inside)
        rows += words.closed()
        shown = ["".join(row.text) for row in rows]
        assert [text for text, row in zip(shown, rows, strict=True) if text or row.tokens == 0] == expected
        assert sum(row.tokens for row in rows) == len(pieces)
        assert sum(row.nats for row in rows) == pytest.approx(float(nats.sum()), rel=1e-5)


def is_whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_a_piece_across_a_border_counts_to_the_first_word_it_is_part_of():
    pieces = [b"  a", b"b c", b"d ", b" ", b"\n", b" \ne", b"f"]
    units = units_of(ByteTable(pieces), np.arange(len(pieces)), [0])
    assert list(units.texts()) == ["ab", "cd", "\n", "\n", "ef"]
    assert units.of_token.tolist() == [0, 0, 1, 2, 2, 3, 4]
