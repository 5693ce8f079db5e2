"""Asking for texts: keys of what is read, and what the model finds likeliest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.records.lines import Row
from seqtool.runs.loading import load_example_run
from seqtool.settings.writing import WritingConfig
from seqtool.tasks.examples.rows import Columns, NumberColumn, RowReader
from seqtool.tasks.pairs.asking import inputs_for, is_empty, texts_for, writer_of
from seqtool.tasks.pairs.writing import Telling


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
