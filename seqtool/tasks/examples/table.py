"""From a table to examples: what its columns are for, a vocabulary of its texts, arrays, and what is held back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from seqtool.errors import InputError, UsageError
from seqtool.files.spools import temporary_folder
from seqtool.records.columns import Column, Roles, decide_roles, giveaways
from seqtool.records.layout import Layout
from seqtool.records.reading import Records, Row, open_records
from seqtool.records.values import number_of
from seqtool.runs.config import NO_TEXT, RunConfig
from seqtool.settings.checking import checked
from seqtool.settings.examples import ExampleConfig, ExampleShape, listed
from seqtool.settings.model import Symbols
from seqtool.settings.vocabulary import BYTE_LEVEL, VocabularyConfig
from seqtool.tasks.examples.modules import task_module
from seqtool.tasks.examples.opening import open_request, profile_of
from seqtool.tasks.examples.prepared import Prepared, counts_record, data_record, valid_record
from seqtool.tasks.examples.rows import (
    ArrayBuilder,
    CategoryColumn,
    Columns,
    NumberColumn,
    RowReader,
    blocks_of,
    columns_from,
)
from seqtool.tasks.examples.sets import ArrayExamples, split_rows
from seqtool.tasks.examples.task import answers_of
from seqtool.tasks.language.data import held_share
from seqtool.tasks.request import Request
from seqtool.text.documents import TextSource
from seqtool.text.learning import learn_vocabulary
from seqtool.text.vocabulary import Vocabulary, load_vocabulary

OF_TABLES = (
    "target", "text", "ignore", "numeric", "categorical", "weight", "format", "header", "delimiter", "max_length"
)  # fmt: skip
"""The settings of examples that every task on a table's rows has."""
OF_VOCABULARY = {"vocab_type": "type", "lowercase": "lowercase"}  # of the settings that suit a model, its vocabulary's
NGRAMS = {"word": 2, "bpe": 4, "unigram": 4, "foreign": 4, BYTE_LEVEL: 4, "char": 7, "byte": 7}
"""Tokens of the longest n-grams, by what the tokens of a vocabulary are."""
LEAST_BUCKETS, MOST_BUCKETS = 1 << 12, 1 << 19
FEW_NUMBERS = 20  # distinct whole numbers that are taken for classes
MOST_CATEGORIES = 1000


class Table(NamedTuple):
    """A table, what its columns hold, and what each is for."""

    records: Records
    columns: list[Column]
    roles: Roles

    @property
    def kind(self) -> str:
        """`text`, or `table` of one without."""
        return "text" if self.roles.text else "table"

    def column(self, name: str) -> Column:
        """The profile of a column."""
        return next(column for column in self.columns if column.name == name)


def open_table(request: Request, examples: ExampleConfig) -> Table:
    """Open and look through the table that DATA name; UsageError for a target that it has not."""
    records = open_request(request, examples)
    columns = profile_of(request, records)
    target, text = listed(examples.target, records.columns), listed(examples.text, records.columns)
    if records.layout.format == "labelled":
        target, text = target or records.columns[:1], text or records.columns[1:]
    if not target:
        raise UsageError(f"--target COLUMN: say which to tell from the others, of {', '.join(records.columns)}")
    roles = decide_roles(
        columns,
        target=target,
        text=text,
        ignore=listed(examples.ignore, records.columns),
        numeric=listed(examples.numeric, records.columns),
        categorical=listed(examples.categorical, records.columns),
        weight=examples.weight or None,
    )
    return Table(records, columns, roles)


def task_of_target(column: Column) -> str:
    """The task that a target asks for: numbers of many values are told as such, all else as classes."""
    whole = column.numeric and all(float(value).is_integer() for value in column.counts)
    if column.numeric and (column.many or column.distinct > FEW_NUMBERS or (column.distinct > 2 and not whole)):
        return "regress"
    return "classify"


def is_free_text(column: Column) -> bool:
    """Whether a column has many different texts of several words: to be written, not told apart as classes are."""
    return column.kind == "text" and (column.many or column.distinct > FEW_NUMBERS)


def read_columns(table: Table) -> Columns:
    """How each column of a table is to be read."""
    numeric, categorical = [], []
    for name in table.roles.numeric:
        column = table.column(name)
        deviation = column.deviation if column.deviation > 0 else 1.0
        numeric.append(NumberColumn(name, column.mean if column.numbers else 0.0, deviation, column.missing > 0))
    for name in table.roles.categorical:
        column = table.column(name)
        values = list(column.counts)[:MOST_CATEGORIES]
        categorical.append(CategoryColumn(name, (*values, *([""] if column.missing else []))))
    return Columns(tuple(table.roles.text), tuple(numeric), tuple(categorical))


def texts_vocabulary(
    request: Request, rows: Iterable[Row], reader: RowReader, suited: dict[str, Any], seed: int
) -> Vocabulary:
    """The vocabulary that is named, or one that is learned from the texts of some rows."""
    if request.vocab is not None:
        return load_vocabulary(request.vocab)
    config = checked(VocabularyConfig(**{**suited, **request.vocabulary}))
    with temporary_folder("texts") as folder:
        file = Path(folder) / "texts"
        with open(file, "w", encoding="utf-8") as stream:
            for row in rows:
                stream.write(reader.text_of(row) + "\n")
        if not file.stat().st_size:
            raise InputError(f"{reader.source}: the texts are all empty: name another column with --text")
        return learn_vocabulary(TextSource([str(file)]), config, seed)


class Digest:
    """The hash of rows as they are read: of values, not of how a file spells them."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()

    def over(self, rows: Iterable[Row]) -> Iterator[Row]:
        """The same rows."""
        for row in rows:
            self._sha256.update(
                ("\x1f".join("\x00" if v is None else v for v in row.values) + "\x1e").encode("utf-8", "replace")
            )
            yield row

    @property
    def hex(self) -> str:
        """The hash of what has passed."""
        return self._sha256.hexdigest()


class Labelled:
    """Rows that can be learned from, with the values of their targets, and weights where a column has them."""

    def __init__(self, names: Sequence[str], target: Sequence[str], weight: str | None, errors: str) -> None:
        if missing := [name for name in (*target, *([weight] if weight else [])) if name not in names]:
            raise InputError(f"there is no column {', '.join(missing)}; there are {', '.join(names)}")
        self._places = [names.index(name) for name in target]
        self._weight = None if weight is None else names.index(weight)
        self._errors, self._target = errors, target
        self.values: list[tuple[str, ...]] = []
        self.weights: list[float] = []
        self.left_out = 0
        """Rows from which nothing can be learned."""

    def of(self, records: Records, reader: RowReader) -> Iterator[Row]:
        """The rows; InputError for one that cannot be read or has no target, which is left out under `replace`."""
        for row in records.rows():
            problem, weight = reader.problem(row), None
            if not problem:
                own = [row.values[place] for place in self._places]
                if any(value is None for value in own):
                    problem = f"has nothing in column {', '.join(self._target)}, the target"
                elif self._weight is not None:
                    weight = number_of(row.values[self._weight])
                    if not weight >= 0:
                        problem = "has a weight that is no number of at least 0"
            if problem:
                if self._errors == "strict":
                    raise InputError(
                        f"line {row.number} of {records.reading} {problem}: mend it, or leave such rows out with "
                        "--errors replace"
                    )
                self.left_out += 1
                continue
            self.values.append(tuple(value or "" for value in own))
            if weight is not None:
                self.weights.append(weight)
            yield row


def layout_record(layout: Layout) -> dict[str, Any]:
    """A layout as a run's configuration has it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(layout).items()}


def layout_from(record: Any) -> Layout:
    """The layout that a run's configuration has; InputError when it was edited."""
    try:
        made: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
        }
        layout = Layout(**made)
        if not all(isinstance(name, str) for name in layout.columns):
            raise ValueError("columns without names")
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError("a run's configuration does not say how its data are laid out: it was edited") from error
    return layout


def symbols_of(vocabulary: Vocabulary | None, tokens: int) -> Symbols:
    """What a run's configuration says of its vocabulary."""
    if vocabulary is None:
        return NO_TEXT
    return Symbols(vocabulary.size, vocabulary.begin_id, vocabulary.size, max(1, tokens))


def hidden_giveaways(table: Table) -> list[str]:
    """What is to be said of columns that alone tell the target."""
    return [
        f"warning: column {name} alone tells the target: leave it out with --ignore {name}, unless it is known by then"
        for name in giveaways(table.records, table.roles, table.columns)
        if name not in table.roles.text
    ]


class TargetKind(Protocol):
    """What a task makes of the values of its target: its module."""

    def described(
        self, values: Sequence[tuple[str, ...]], table: Table, examples: ExampleConfig, settings: dict[str, Any]
    ) -> dict[str, Any]:
        """What the run's configuration says of the targets."""

    def targets(self, task: dict[str, Any], values: Sequence[tuple[str, ...]], source: str) -> Any:
        """The targets as an array; InputError for one that is none."""

    def groups(self, targets: Any) -> Any:
        """Of which a share each is held back; None where there are no groups."""

    def importance(self, task: dict[str, Any], targets: Any) -> Any:
        """How much each example counts by its target; None where all count the same."""


def prepare_table(
    request: Request,
    table: Table,
    examples: ExampleConfig,
    settings: dict[str, Any],
    kept: RunConfig | None,
) -> Prepared:
    """The examples of a table as arrays, with what is held back; with `kept` as that run's configuration says.

    What the targets are is said by the module of the task, a TargetKind.
    """
    kind = cast(TargetKind, task_module(examples.task))
    seed = int(settings.get("seed", 0))
    columns = read_columns(table) if kept is None else columns_from(kept.task["columns"], "config.json")
    layout = table.records.layout
    roles = table.roles
    target = roles.target if kept is None else tuple(kept.task["target"])
    told = [*table.records.told, *_about_roles(table), *hidden_giveaways(table)] if kept is None else []
    if not columns.names:
        raise UsageError(
            f"nothing is left to tell {', '.join(target)} from: see --ignore, --numeric, --categorical, --text"
        )
    vocabulary = None
    records = table.records
    if columns.text:
        plain = RowReader(Columns(columns.text, (), ()), records.columns, None, 1, records.name)
        suited_vocabulary = {name: settings[flag] for flag, name in OF_VOCABULARY.items() if flag in settings}
        readable = (row for row in records.rows() if not row.problem)
        vocabulary = texts_vocabulary(request, readable, plain, suited_vocabulary, seed)

    def read(source: Records) -> tuple[Labelled, dict[str, Any], str, int]:
        reader = RowReader(columns, source.columns, vocabulary, examples.max_length, source.name)
        labelled = Labelled(source.columns, target, examples.weight or None, request.errors)
        builder, digest = ArrayBuilder(reader), Digest()
        for block in blocks_of(digest.over(labelled.of(source, reader))):
            builder.add(block)
        return labelled, builder.arrays(), digest.hex, reader.cut

    labelled, arrays, sha256, cut = read(records)
    if not labelled.values:
        raise InputError(f"{records.name} has no rows to learn from")
    if kept is None:
        task = {
            "name": examples.task,
            "target": list(target),
            "columns": columns.as_record(),
            "layout": layout_record(layout),
            "max_length": examples.max_length,
            **kind.described(labelled.values, table, examples, settings),
        }
    else:
        task = kept.task
    targets = kind.targets(task, labelled.values, records.name)
    whole = ArrayExamples(targets, **arrays, weights_N=_weights(labelled, kind.importance(task, targets)))
    record = data_record(request, examples, sha256, labelled.left_out)
    share = held_share(request.valid)
    if share is None:
        assert request.valid is not None
        valid_records = open_records([request.valid], layout=layout, errors=request.errors)
        held, held_arrays, held_sha256, _ = read(valid_records)
        valid = ArrayExamples(kind.targets(task, held.values, valid_records.name), **held_arrays)
        train = whole
        record |= valid_record(request.valid, held_sha256)
    else:
        rows, held_rows = split_rows(len(whole), share, seed, kind.groups(targets))
        train, valid = whole.some(rows), whole.some(held_rows)
        record["valid_share"] = share
    tokens = int(train.lengths_N.sum())
    record |= counts_record(train, valid)
    if labelled.left_out:
        told.append(f"{labelled.left_out:,} rows are left out: they are broken or have no target")
    if cut:
        told.append(f"{cut:,} texts are longer than --max-length {examples.max_length} tokens: their ends are cut off")
    answers = answers_of(task)
    shape = ExampleShape(
        tables=(vocabulary.size,) if vocabulary is not None else (),
        begin_id=0 if vocabulary is None else vocabulary.begin_id,
        numbers=columns.numbers,
        categories=columns.categories,
        outputs=answers.outputs,
        fitted=answers.fitted,
    )
    suited = {} if vocabulary is None else {"ngrams": NGRAMS[vocabulary.type], "buckets": buckets_for(tokens)}
    return Prepared(train, valid, shape, symbols_of(vocabulary, tokens), vocabulary, task, record, told, suited=suited)


def buckets_for(tokens: int) -> int:
    """Rows for the n-grams of so many tokens: a power of two, from half as many on, within limits.

    Both of pairs of words and of 2- to 7-grams of characters that is about a row for each that occurs (75,000 of
    133,000 words, 550,000 of 800,000 characters); with fewer, n-grams that say something share rows with others.
    """
    return min(MOST_BUCKETS, max(LEAST_BUCKETS, 1 << (max(1, tokens) // 2).bit_length()))


def _weights(labelled: Labelled, importance: Any) -> Any:
    """How much each example counts in training, 1 on average; None where all count the same."""
    if not labelled.weights and importance is None:
        return None
    weights = np.ones(len(labelled.values)) if importance is None else np.asarray(importance, np.float64)
    if labelled.weights:
        weights = weights * np.array(labelled.weights)
    if not weights.sum() > 0:
        raise InputError("all weights are 0: nothing would be learned")
    return (weights / weights.mean()).astype(np.float32)


def _about_roles(table: Table) -> list[str]:
    """What each column is taken for, in words."""
    roles = table.roles
    parts = [
        f"{', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''} as {what}"
        for what, names in (("text", roles.text), ("numbers", roles.numeric), ("categories", roles.categorical))
        if names
    ]
    return [f"{', '.join(roles.target)} is told from {'; '.join(parts)}", *roles.told]
