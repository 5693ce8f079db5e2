"""Asking a run of examples: its answers to the rows of a table, in order and as they come, and how good these are."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import EllipsisType
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtool.errors import InputError, UsageError
from seqtool.models.example_model import ExampleInput
from seqtool.records.delimited import read_cells
from seqtool.records.layout import SUFFIX_FORMATS, Layout, detect_layout, suffix_of
from seqtool.records.lines import Lines, Row
from seqtool.records.reading import Records, RecordsFile, open_records
from seqtool.runs.config import RunConfig
from seqtool.runs.loading import ExampleRun, load_example_run
from seqtool.settings.backtest import BacktestConfig
from seqtool.settings.checking import from_mapping
from seqtool.settings.examples import DECOMPOSED, MAX_LENGTH, ExampleConfig
from seqtool.settings.writing import WritingConfig
from seqtool.tasks.examples.rows import RowReader, blocks_of, columns_from
from seqtool.tasks.examples.sets import ArrayExamples, by_length
from seqtool.tasks.examples.table import Labelled, layout_from
from seqtool.tasks.examples.task import answers_of

T = TypeVar("T")
BATCH_TOKENS = 1 << 15


class Looked(NamedTuple):
    """Where a model looked for a text: the tokens on both sides, and shares of attention (layers, heads, T, S)."""

    title: str
    source: list[str]
    target: list[str]
    looks_LHTS: npt.NDArray[np.float32]


class Asking(NamedTuple):
    """How a run is asked."""

    most: int = 1
    """The likeliest answers that are told; 0: those that a task tells by itself."""
    batch_size: int = 256
    errors: str = "strict"
    format: str = "auto"
    backtest: BacktestConfig = BacktestConfig()
    """Which windows of series are judged."""
    writing: WritingConfig = WritingConfig()
    """How texts are written."""
    samples: int = 0
    """Texts for each row, told with their ranks and nats; 0: one, told alone."""
    nats: bool = False
    """Whether the nats of texts are told."""
    align: bool = False
    """Whether it is told where the model looked."""
    looked: list[Looked] | None = None
    """Where to put what the model looked at for the first texts, if that is asked for."""
    told: list[str] | None = None
    """Where to put what is to be said once all rows are answered."""
    targets: str | None = None
    """The file of the texts that those which are written are compared with, where they are no column."""


class Answer(NamedTuple):
    """An answer: rows of cells, usually one, and as JSON. One empty cell for a row that cannot be read."""

    rows: tuple[tuple[str, ...], ...]
    content: dict[str, Any]
    problem: str = ""
    plain: bool = False
    """Whether a row of one cell is a line as it is, which needs no escapes."""


def unanswered(problem: str) -> Answer:
    """What stands in the place of an answer to a row that cannot be read."""
    return Answer((("",),), {"problem": problem}, problem)


def load_to_ask(path: Path, device: torch.device) -> ExampleRun:
    """Load a run of examples; InputError where what it says of its task does not fit its sizes."""
    run = load_example_run(path, device)
    check_task(run.config, str(path))
    return run


def check_task(config: RunConfig, source: str) -> None:
    """InputError where a run's configuration says of its task what cannot be, or does not fit its sizes."""
    task, shape = config.task, config.shape
    assert shape is not None
    answers, examples = answers_of(task), config.data.get("examples")
    fits = (answers.outputs, answers.fitted) == (shape.outputs, shape.fitted) and isinstance(examples, dict)
    if fits and isinstance(task.get("columns"), dict) and "numeric" in task["columns"]:
        columns = columns_from(task["columns"], source)
        target, longest = task.get("target"), task.get("max_length")
        fits = (
            isinstance(target, list)
            and bool(target)
            and all(isinstance(name, str) for name in target)
            and type(longest) is int
            and 1 <= longest <= MAX_LENGTH
            and bool(columns.names)
            and not shape.each
            and (columns.numbers, columns.categories, bool(columns.text))
            == (shape.numbers, shape.categories, bool(shape.tables))
        )
    if not fits:
        raise InputError(f"{source}: what its config.json says of the task does not fit its sizes: it was edited")
    examples_of(config, source)


def examples_of(config: RunConfig, source: str) -> ExampleConfig:
    """What was asked of the table that a run was learned from; InputError when it was edited."""
    return from_mapping(ExampleConfig, {**config.data["examples"], "task": config.task["name"]}, f"{source}: examples")


def open_for(run: ExampleRun, paths: Sequence[str], asking: Asking) -> Records:
    """Open the rows that a run is asked about: laid out as its examples, or a line each where it reads one text."""
    layout = layout_from(run.config.task["layout"])
    columns = columns_from(run.config.task["columns"], str(run.path))
    if asking.format not in ("auto", "lines"):
        return open_records(paths, format=asking.format, errors=asking.errors, rereadable=False)
    one_text = len(columns.names) == len(columns.text) == 1
    if asking.format == "lines" and not one_text:
        raise UsageError(f"--format lines: {run.path} reads {', '.join(columns.names)}; give a table with these")
    files = [RecordsFile(path, errors=asking.errors, rereadable=False) for path in paths]
    head = files[0].head()
    if asking.format != "lines" and layout.format != "jsonl" and head.lstrip().startswith("{"):
        return open_records(files, format="jsonl", errors=asking.errors)
    if asking.format == "auto" and _is_named(paths[0], layout) and not _is_laid_out(head, layout):
        own = detect_layout(head, paths[0])  # the columns of the examples may be delimited otherwise here
        layout = own if {*columns.names} <= {*own.columns} else layout
    elif one_text and (asking.format == "lines" or not _is_laid_out(head, layout)):
        return Records(files, Layout("lines", columns.text), errors=asking.errors, header=None)
    width, targets = _width(head, layout), run.config.task["target"]
    if layout.format == "csv" and not layout.header and width == len(layout.columns) - len(targets):
        layout = replace(layout, columns=tuple(name for name in layout.columns if name not in targets))
    return open_records(files, layout=layout, errors=asking.errors)


def _first_cells(head: str, layout: Layout) -> list[str]:
    """The cells of a table's first row."""
    _, cells, _ = next(read_cells(Lines([head]), layout.delimiter, layout.quoted), (0, [], ""))
    return [cell.strip() for cell in cells]


def _width(head: str, layout: Layout) -> int:
    """How many cells a table's first row has."""
    return len(_first_cells(head, layout))


def _is_laid_out(head: str, layout: Layout) -> bool:
    """Whether a text begins as a table of this layout does: with one of its columns' names, or as wide as it is."""
    if layout.format == "csv":
        cells = _first_cells(head, layout)
        return bool({*cells} & {*layout.columns}) if layout.header else len(cells) >= len(layout.columns) > 1
    return layout.format in ("labelled", "jsonl")


def _is_named(path: str, layout: Layout) -> bool:
    """Whether a file is called a table with a header, as this layout's was, whatever columns it has."""
    return layout.format == "csv" and layout.header and SUFFIX_FORMATS.get(suffix_of(path)) == "csv"


def reader_of(run: ExampleRun, records: Records) -> RowReader:
    """What reads rows as the run's examples were read."""
    columns = columns_from(run.config.task["columns"], str(run.path))
    reader = RowReader(columns, records.columns, run.vocabulary, int(run.config.task["max_length"]), records.name)
    reader.decompose = run.config.task.get("source_form") == DECOMPOSED
    return reader


@torch.inference_mode()
def outputs_for(run: ExampleRun, reader: RowReader, rows: Sequence[Row]) -> Tensor:
    """The model's outputs for rows that can be read, (rows, O), the same alone as together."""
    ids, columns = None, reader.columns
    lengths = np.ones(len(rows), np.int64)
    arrays: dict[str, Any] = {}
    if columns.text:
        ids = reader.ids(rows)
        lengths = np.array([len(one) for one in ids], np.int64)
        arrays |= {"starts": np.concatenate([[0], np.cumsum(lengths)]), "ids": np.concatenate(ids).reshape(-1, 1)}
        assert run.vocabulary is not None
        arrays["begin_id"] = run.vocabulary.begin_id
    if columns.numbers:
        arrays["numbers_ND"] = reader.numbers(rows)
    if columns.categories:
        arrays["categories_NC"] = reader.categories(rows)
    examples = ArrayExamples(np.zeros(len(rows), np.int64), **arrays)
    found: list[Tensor | None] = [None] * len(rows)
    for batch in by_length(lengths, len(rows), BATCH_TOKENS):
        x: ExampleInput = examples.take(batch).x
        for place, output in zip(batch.tolist(), run.model(x.to(run.model.device)).float().cpu(), strict=True):
            found[place] = output
    return torch.stack([output for output in found if output is not None])


def no_heading(run: ExampleRun) -> list[str]:
    """The heading of answers of which each is a line."""
    return []


def answered(
    run: ExampleRun, paths: Sequence[str], asking: Asking, tell: Callable[[Tensor], list[Answer]]
) -> Iterator[list[Answer]]:
    """The answers to rows, in order and in blocks, as soon as no more rows wait; `tell` makes them of outputs."""
    records = open_for(run, paths, asking)
    reader = reader_of(run, records)
    yield from answered_rows(records, reader, asking, lambda rows: tell(outputs_for(run, reader, rows)))


def answered_rows(
    records: Records,
    reader: RowReader,
    asking: Asking,
    tell: Callable[[list[Row]], list[Answer]],
    lacking: Callable[[Row, str], Answer] = lambda row, problem: unanswered(problem),
) -> Iterator[list[Answer]]:
    """The same, where `tell` makes answers of the rows that can be read, `lacking` of others, with the problem.

    Where errors are not replaced, InputError for the first row with a problem, after the answers to those before it.
    """
    for block in arriving(records.rows(), records.waits, asking.batch_size):
        problems = [reader.problem(row) for row in block]
        broken = next((place for place, problem in enumerate(problems) if problem), len(block))
        if asking.errors == "replace":
            broken = len(block)
        whole = [row for row, problem in zip(block[:broken], problems, strict=False) if not problem]
        told = iter(tell(whole) if whole else ())
        if broken:
            pairs = zip(block[:broken], problems, strict=False)
            yield [lacking(row, problem) if problem else next(told) for row, problem in pairs]
        if broken < len(block):
            raise InputError(
                f"line {block[broken].number} of {records.reading} {problems[broken]}: mend it, or give --errors "
                "replace for an empty answer"
            )


def answered_with_targets(
    run: ExampleRun, paths: Sequence[str], asking: Asking
) -> tuple[Tensor, list[tuple[str, ...]], int]:
    """The outputs for all rows that have a target, these targets, and how many rows are left out."""
    layout = layout_from(run.config.task["layout"])
    if asking.format == "auto":
        records = open_records(paths, layout=layout, errors=asking.errors)
    else:
        records = open_records(paths, format=asking.format, errors=asking.errors)
    reader = reader_of(run, records)
    labelled = Labelled(records.columns, run.config.task["target"], None, asking.errors)
    outputs = [outputs_for(run, reader, block) for block in blocks_of(labelled.of(records, reader), asking.batch_size)]
    if not outputs:
        raise InputError(f"{records.name} has no rows with a target: there is nothing to compare answers with")
    return torch.cat(outputs), labelled.values, labelled.left_out


def arriving(rows: Iterator[T], waits: bool, size: int) -> Iterator[list[T]]:
    """Rows in blocks: where they are waited for, those that are there, so that an answer never waits for a question.

    An error in a row comes after the rows before it.
    """
    if not waits:
        yield from _blocks_until_error(rows, size)
        return
    arrived: queue.Queue[tuple[T] | BaseException | None] = queue.Queue(2 * size)
    one: tuple[T] | BaseException | EllipsisType | None

    def read() -> None:
        try:
            for row in rows:
                arrived.put((row,))
            arrived.put(None)
        except BaseException as error:  # which the reader of the queue raises
            arrived.put(error)

    threading.Thread(target=read, daemon=True).start()
    block: list[T] = []
    while True:
        try:
            one = arrived.get(block=not block)
        except queue.Empty:
            one = ...  # nothing more is there yet
        if isinstance(one, tuple):
            block += one
        if block and (len(block) >= size or not isinstance(one, tuple)):
            yield block
            block = []
        if isinstance(one, BaseException):
            raise one
        if one is None:
            return


def _blocks_until_error(rows: Iterator[T], size: int) -> Iterator[list[T]]:
    """Rows, so many at a time; what is wrong with one is raised after those before it."""
    block: list[T] = []
    problem: Exception | None = None
    while problem is None:
        try:
            block.append(next(rows))
        except StopIteration:
            break
        except Exception as error:
            problem = error
        if len(block) >= size:
            yield block
            block = []
    if block:
        yield block
    if problem is not None:
        raise problem
