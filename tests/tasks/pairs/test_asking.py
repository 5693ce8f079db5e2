"""Asking for texts: units of alignments, keys of what is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.records.lines import Row
from seqtool.runs.loading import load_example_run
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.settings.writing import WritingConfig
from seqtool.tasks.examples.rows import Columns, NumberColumn, RowReader
from seqtool.tasks.pairs.asking import Writer, alignment, inputs_for, is_empty, texts_for, units_of
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary


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


def test_what_is_read_has_a_key_of_its_content():
    reader = RowReader(Columns((), (NumberColumn("x", 0.0, 1.0, True),), ()), ("x",), None, 9, "t")
    x, keys = inputs_for(reader, [Row(1, ("1",)), Row(2, ("2",)), Row(3, (None,)), Row(4, ("1",))])
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3
    assert x.numbers_BN.shape == (4, 2)
    assert not is_empty(reader, Row(1, (None,)))
    assert inputs_for(reader, []) == (None, [])


def test_a_writer_gives_what_the_model_finds_likeliest(translator: Path):
    run = load_example_run(translator / "run", torch.device("cpu"))
    assert isinstance(run.model, EncoderDecoder)
    reader = RowReader(Columns(("text",), (), ()), ("text",), run.vocabulary, 99, "t")
    rows = [Row(1, ("the red cat",)), Row(2, (None,)), Row(3, ("the blue bird likes the dog",))]
    writer = Writer(run, WritingConfig(), align=True, nats=True)
    texts = texts_for(writer, reader, rows)
    assert [one.text == "" for (one,) in texts] == [False, True, False]
    (one,) = texts[2]
    assert one.ended
    ids = [run.model.begin_id, *one.tokens]
    x, _ = inputs_for(reader, rows[2:])
    with torch.no_grad():
        log_p = run.model(x, torch.tensor([ids]))[0].log_softmax(-1)
    told = [*one.tokens, run.model.begin_id]
    assert log_p.argmax(-1).tolist() == told
    np.testing.assert_allclose(one.nats, -log_p[range(len(told)), told].sum(), rtol=1e-3)
    assert [target for _, target in one.alignment] == list(range(len(one.text.split())))
    constrained = Writer(run, WritingConfig(constrain="das (Hund|Vogel)\\."))
    assert {one.text for (one,) in texts_for(constrained, reader, rows)} <= {"", "das Hund.", "das Vogel."}
