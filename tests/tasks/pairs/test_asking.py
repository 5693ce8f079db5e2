"""Asking for texts: keys of what is read, and what the model finds likeliest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.records.lines import Row
from seqtool.runs.loading import load_example_run
from seqtool.settings.writing import WritingConfig
from seqtool.tasks.examples.asking import Looked
from seqtool.tasks.examples.rows import Columns, NumberColumn, RowReader
from seqtool.tasks.pairs import asking
from seqtool.tasks.pairs.asking import Maps, inputs_for, is_empty, texts_for, writer_of
from seqtool.tasks.pairs.writing import NOTHING, Telling


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
    writer = writer_of(run, WritingConfig(), Telling(align=True, nats=True))
    texts = texts_for(writer, reader, rows)
    assert texts[1] == [NOTHING]
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
    constrained = writer_of(run, WritingConfig(constrain="das (Hund|Vogel)\\."))
    assert {one.text for (one,) in texts_for(constrained, reader, rows)} <= {"", "das Hund.", "das Vogel."}


def test_maps_that_a_page_has_no_room_for_are_left_out_and_counted(translator: Path, monkeypatch: pytest.MonkeyPatch):
    run = load_example_run(translator / "run", torch.device("cpu"))
    reader = RowReader(Columns(("text",), (), ()), ("text",), run.vocabulary, 3, "t")
    rows = [Row(1, ("the red cat sees the dog",)), Row(2, (None,)), Row(3, ("the cat",)), Row(4, ("the red cat",))]
    writer = writer_of(run, WritingConfig(max_tokens=3))
    texts = texts_for(writer, reader, rows)
    cut, looked = reader.cut, list[Looked]()
    monkeypatch.setattr(asking, "MOST_CELLS", 4 * 3 + 3 * 3)
    maps = Maps(writer, looked)
    maps.add(reader, rows, texts)
    assert [one.title[:2] for one in looked] == ["1:", "3:"]
    assert looked[0].looks_LHTS.shape[2:] == (3, 4)
    assert (maps.left_out, reader.cut) == (1, cut)
    assert "1 of the first 3 texts would make the page too large" in maps.told_of_left_out()[0]
