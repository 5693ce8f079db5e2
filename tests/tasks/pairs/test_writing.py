"""Writing texts: units of alignments, unknown words, what cannot be told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from seqtool.errors import UsageError
from seqtool.settings.examples import ExampleShape
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.settings.writing import WritingConfig
from seqtool.tasks.pairs import nats
from seqtool.tasks.pairs.reading import Vocabularies
from seqtool.tasks.pairs.writing import Telling, Writer, alignment, units_of, words_in, words_of
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from tests.models.writers import BEGIN, LENGTHS, read, writer


def test_a_unit_looks_where_its_tokens_look_most():
    looks = torch.tensor(
        [
            # <s>  a    a    b
            [0.9, 0.00, 0.00, 0.1],
            [0.0, 0.30, 0.30, 0.4],  # a has more in all
            [0.0, 0.00, 0.40, 0.6],
        ]
    )
    assert alignment(looks, [0, 0, 1], [0, 1, 2]) == ((1, 0), (0, 1), (1, 2))
    assert alignment(looks, [0, 0, 1], [0, 0, -1]) == ((0, 0),)
    assert alignment(looks, [], [0]) == ()


def test_units_are_words_of_pieces_and_else_tokens(tmp_path: Path):
    (text := tmp_path / "text").write_text("the cat sat on the mat\nthe cats sat\n" * 40)
    source = TextSource([str(text)])
    pieces = learn_vocabulary(source, VocabularyConfig(type="bpe"))
    ids = pieces.encode("the cats  sat qü").tolist()
    units = units_of(pieces, ids)
    words = ["", "", "", ""]
    for index, unit in zip(ids, units, strict=True):
        if unit >= 0:
            words[unit] += pieces.token_bytes(index).decode(errors="replace").strip()
    assert words[:3] == ["the", "cats", "sat"]
    assert words[3][0] == "q"
    letters = learn_vocabulary(source, VocabularyConfig(type="char"))
    assert units_of(letters, letters.encode("a b").tolist()) == [0, 1, 2]
    assert words_of(letters, letters.encode("ab  c").tolist()) == [0, 0, -1, -1, 1]


def test_an_unknown_word_is_the_one_that_was_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (text := tmp_path / "text").write_text("the cat sat\n" * 9)
    words = learn_vocabulary(TextSource([str(text)]), VocabularyConfig(type="word", min_count=1))
    told = Writer(writer("gru luong"), Vocabularies(words, words), 9, WritingConfig(), Telling(copy_unknown=True))
    the, cat, unknown = (*words.encode("the cat").tolist(), words.unknown_id)
    looks = torch.zeros(1, 1, 3, 4)
    looks[0, 0, [0, 1, 2], [3, 1, 2]] = 1.0
    monkeypatch.setattr(told, "looks", lambda x, tokens: looks)
    written = told._written(type("S", (), {"tokens": [the, unknown, unknown], "finished": "end"})())
    key = tuple(words.encode("Zoe saw Bob").tolist())
    assert told._looked(None, key, "Zoe saw Bob", written).text == "the Zoe saw"
    assert words_of(words, [the, cat]) == [0, 1]


def test_nats_take_few_texts_at_once_and_rank_what_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (text := tmp_path / "text").write_text("abcdefgh\n" * 9)
    letters = learn_vocabulary(TextSource([str(text)]), VocabularyConfig(type="char"))
    model = writer("gru luong", ExampleShape(tables=(9,), target_symbols=letters.size, target_begin_id=BEGIN))
    drawing = WritingConfig(temperature=3.0)
    told = Writer(model, Vocabularies(letters, letters), 6, drawing, Telling(samples=3, nats=True))
    x, keys = read(), [(row,) for row in range(len(LENGTHS))]
    x = x._replace(ids_BTK=x.ids_BTK.clamp(max=8))
    whole = told.write(x, keys, [""] * len(keys))
    sizes: list[int] = []
    forward = model.forward
    monkeypatch.setattr(model, "forward", lambda x, ids_BT: (sizes.append(ids_BT.numel()), forward(x, ids_BT))[1])
    monkeypatch.setattr(nats, "SCORED_TOKENS", 12)
    parts = told.write(x, keys, [""] * len(keys))
    assert max(sizes) <= 12
    assert [one.tokens for own in parts for one in own] == [one.tokens for own in whole for one in own]
    for own in whole:
        assert [one.nats for one in own] == sorted(one.nats for one in own)
        assert len(own) == 3


def test_words_are_those_that_units_number(tmp_path: Path):
    (text := tmp_path / "text").write_text("one two three\n" * 9)
    source = TextSource([str(text)])
    words = learn_vocabulary(source, VocabularyConfig(type="word", min_count=1))
    two_columns = "one two\nthree Zoe"
    ids = words.encode(two_columns).tolist()
    assert units_of(words, ids) == words_of(words, ids) == [0, 1, -1, 2, 3]
    assert words_in(words, ids, two_columns) == ["one", "two", "three", "Zoe"]
    for kind in ("char", "bpe"):
        pieces = learn_vocabulary(source, VocabularyConfig(type=kind))
        for spaced in ("one\u00a0two three", "one\u3000two three", "one\u2028two\nthree"):
            ids = pieces.encode(spaced).tolist()
            assert words_in(pieces, ids, spaced) == [spaced[:7], "three"]
            assert max(words_of(pieces, ids)) == 1


def test_what_cannot_be_told_is_refused(tmp_path: Path):
    (text := tmp_path / "text").write_text("the cat sat\n" * 9)
    letters = learn_vocabulary(TextSource([str(text)]), VocabularyConfig(type="char"))
    both = Vocabularies(letters, letters)
    with pytest.raises(UsageError, match="--copy-unknown: a vocabulary of type char spells every word"):
        Writer(writer("gru luong"), both, 9, WritingConfig(), Telling(copy_unknown=True))
    with pytest.raises(UsageError, match="--align: the run was trained with --attention none"):
        Writer(writer("gru none"), both, 9, WritingConfig(), Telling(align=True))
    with pytest.raises(UsageError, match="--align: the run reads no text"):
        Writer(writer("gru luong"), Vocabularies(None, letters), 9, WritingConfig(), Telling(align=True))
    with pytest.raises(UsageError, match="give one of them"):
        Writer(writer("gru luong"), both, 9, WritingConfig(beam=2, temperature=1.0))


def test_a_text_ends_where_the_context_does(tmp_path: Path):
    (text := tmp_path / "text").write_text("the cat sat\n" * 9)
    letters = learn_vocabulary(TextSource([str(text)]), VocabularyConfig(type="char"))
    both = Vocabularies(letters, letters)
    assert Writer(writer("transformer rope"), both, 99, WritingConfig()).most == 31
    assert Writer(writer("gru luong"), both, 99, WritingConfig()).most == 99
