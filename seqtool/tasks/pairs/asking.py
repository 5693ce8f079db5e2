"""Asking a run for the texts that it writes: for each row a text, or several, in order and as rows come."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from seqtool.models.encoder_decoder import EncoderDecoder
from seqtool.models.example_model import ExampleInput
from seqtool.records.lines import Row
from seqtool.runs.loading import ExampleRun
from seqtool.settings.writing import WritingConfig
from seqtool.tasks.examples.asking import Answer, Asking, Looked, answered_rows, open_for, reader_of
from seqtool.tasks.examples.rows import RowReader
from seqtool.tasks.examples.sets import ArrayExamples
from seqtool.tasks.pairs.reading import Vocabularies
from seqtool.tasks.pairs.writing import NOTHING, TEXT_ALONE, Key, Telling, Writer, Written
from seqtool.text.vocabulary import Vocabulary

MOST_MAPS = 50  # rows whose attention is drawn
MOST_CELLS, MOST_SHARES = 40_000, 2_000_000  # of all maps together: cells of their tables, and these by layer and head


def vocabularies_of(run: ExampleRun) -> Vocabularies:
    """The vocabularies of a run."""
    target = run.target_vocabulary or run.vocabulary
    assert target is not None
    return Vocabularies(run.vocabulary, target)


def writer_of(run: ExampleRun, config: WritingConfig, telling: Telling = TEXT_ALONE) -> Writer:
    """What writes the texts of a run."""
    assert isinstance(run.model, EncoderDecoder)
    return Writer(run.model, vocabularies_of(run), int(run.config.task["longest"]), config, telling)


def answered_texts(run: ExampleRun, paths: Sequence[str], asking: Asking) -> Iterator[list[Answer]]:
    """The texts for the rows of some files, in order and in blocks, as soon as no more rows are waiting."""
    telling = Telling(
        max(1, asking.samples), asking.nats or asking.samples > 0, asking.align, asking.writing.copy_unknown
    )
    writer = writer_of(run, asking.writing, telling)
    if asking.looked is not None:
        writer.check_looks("--attention-map")
    if asking.format == "auto" and run.config.task["layout"].get("format") == "lines":
        asking = asking._replace(format="lines")  # whatever a line begins with, it is a text
    records = open_for(run, paths, asking)
    columns = run.config.task["columns"]["text"]
    records.as_text = frozenset(columns)
    reader = reader_of(run, records)

    maps = Maps(writer, [] if asking.looked is None else asking.looked)

    def tell(rows: list[Row]) -> list[Answer]:
        texts = texts_for(writer, reader, rows)
        if asking.looked is not None:
            maps.add(reader, rows, texts)
        return [_answer(row, own, asking) for row, own in zip(rows, texts, strict=True)]

    yield from answered_rows(records, reader, asking, tell, lambda row, problem: _unanswered(row, problem, asking))
    if asking.told is not None:
        asking.told.extend([*told_of_cut(reader), *maps.told_of_left_out()])


def told_of_cut(reader: RowReader) -> list[str]:
    """A sentence on the rows whose end was not read, if there were any."""
    rows = "1 row is" if reader.cut == 1 else f"{reader.cut:,} rows are"
    told = f"{rows} longer than {reader.max_length:,} tokens, as no row of training was: the end is not read"
    return [told] if reader.cut else []


def texts_for(writer: Writer, reader: RowReader, rows: Sequence[Row]) -> list[list[Written]]:
    """The texts for rows that can be read; a single empty one for an empty text."""
    found = [[NOTHING] for _ in rows]
    places = [place for place, row in enumerate(rows) if not is_empty(reader, row)]
    x, keys = inputs_for(reader, [rows[place] for place in places])
    if x is not None:
        texts = [reader.text_of(rows[place]) for place in places]
        for place, written in zip(places, writer.write(x, keys, texts), strict=True):
            found[place] = written
    return found


class Maps:
    """Where the model looked for the best text of each of the first rows that have one, as much as a page can show."""

    def __init__(self, writer: Writer, looked: list[Looked]) -> None:
        self.writer, self.looked = writer, looked
        self.left_out = 0
        self._cells = 0

    def add(self, reader: RowReader, rows: Sequence[Row], texts: Sequence[Sequence[Written]]) -> None:
        """Add those of some rows and their texts."""
        source, target = self.writer.vocabularies
        assert source is not None
        config, reader = self.writer.model.config, copy.copy(reader)  # which counts what is cut by itself
        most = min(MOST_CELLS, MOST_SHARES // (config.layers * config.heads))
        for row, (one, *_) in zip(rows, texts, strict=True):
            if len(self.looked) + self.left_out >= MOST_MAPS:
                return
            if not one.tokens:
                continue
            x, (key,) = inputs_for(reader, [row])
            assert x is not None
            cells = (len(key) + 1) * len(one.tokens)
            if self._cells + cells > most:
                self.left_out += 1
                continue
            self._cells += cells
            self.looked.append(
                Looked(
                    f"{row.number}: {one.text}",
                    ["<s>", *(_shown(source, index) for index in key)],
                    [_shown(target, index) for index in one.tokens],
                    self.writer.looks(x, one.tokens).numpy(),
                )
            )

    def told_of_left_out(self) -> list[str]:
        """A sentence on the texts that were too long for the page, if there were any."""
        of = f"{self.left_out} of the first {self.left_out + len(self.looked)} texts"
        told = f"--attention-map: {of} would make the page too large and are not on it; give shorter or fewer rows"
        return [told] if self.left_out else []


def _shown(vocabulary: Vocabulary, index: int) -> str:
    """A token as a person is shown it."""
    return vocabulary.token_in_line(index) if vocabulary.type == "word" else vocabulary.token_text(index)


def is_empty(reader: RowReader, row: Row) -> bool:
    """Whether a row has no text to read."""
    return bool(reader.columns.text) and not reader.text_of(row).strip()


def arrays_for(reader: RowReader, rows: Sequence[Row]) -> tuple[ArrayExamples, list[Key]]:
    """What a model reads of some rows, and a key of each: its ids without `<s>`, or the bits of its numbers."""
    arrays: dict[str, Any] = {}
    keys: list[Key] = [()] * len(rows)
    columns = reader.columns
    if columns.text:
        ids = reader.ids(rows)
        lengths = np.array([len(one) for one in ids], np.int64)
        arrays |= {"starts": np.concatenate([[0], np.cumsum(lengths)]), "ids": np.concatenate(ids).reshape(-1, 1)}
        assert reader.vocabulary is not None
        arrays["begin_id"] = reader.vocabulary.begin_id
        keys = [tuple(one[1:].tolist()) for one in ids]
    if columns.numbers:
        arrays["numbers_ND"] = reader.numbers(rows)
        bits = np.ascontiguousarray(arrays["numbers_ND"], np.float32).view(np.uint32)
        keys = [(*key, *own) for key, own in zip(keys, bits.tolist(), strict=True)]
    if columns.categories:
        arrays["categories_NC"] = reader.categories(rows)
        keys = [(*key, *own) for key, own in zip(keys, arrays["categories_NC"].tolist(), strict=True)]
    return ArrayExamples(np.zeros(len(rows), np.int64), **arrays), keys


def inputs_for(reader: RowReader, rows: Sequence[Row]) -> tuple[ExampleInput | None, list[Key]]:
    """The same as a model is given it; None of no rows."""
    if not rows:
        return None, []
    arrays, keys = arrays_for(reader, rows)
    return arrays.take(np.arange(len(rows))).x, keys


def _unanswered(row: Row, problem: str, asking: Asking) -> Answer:
    """What stands in the place of the texts of a row that cannot be read: as many cells as they have."""
    aligned = [""] if asking.align else []
    if not asking.samples:
        return Answer((("", *aligned),), {"problem": problem}, problem)
    return Answer(((str(row.number), "", "", "", *aligned),), {"row": row.number, "problem": problem}, problem)


def _answer(row: Row, texts: Sequence[Written], asking: Asking) -> Answer:
    """The texts of a row: alone a line each; of several the row's number, its rank and nats before each.

    An empty row has one text, an empty one, which no model wrote: it has no nats.
    """
    content: dict[str, Any] = {"texts": [_content(one, asking.align) for one in texts]}
    if not asking.samples:
        (one,) = texts
        cells = (one.text, _pharaoh(one)) if asking.align else (one.text,)
        return Answer((cells,), _content(one, asking.align), plain=True)
    rows = tuple(
        (str(row.number), str(rank), _nats(one), one.text, *([_pharaoh(one)] if asking.align else []))
        for rank, one in enumerate(texts, start=1)
    )
    return Answer(rows, {"row": row.number, **content})


def _nats(one: Written) -> str:
    return "" if one.nats is None else f"{one.nats:.4f}"


def _content(one: Written, align: bool) -> dict[str, Any]:
    aligned = {"alignment": [list(pair) for pair in one.alignment]} if align else {}
    return {"text": one.text, "nats": one.nats, "ended": one.ended, **aligned}


def _pharaoh(one: Written) -> str:
    """Pairs of units as `0-0 1-2`, source first."""
    return " ".join(f"{source}-{target}" for source, target in one.alignment)
