"""Learning from examples: what of a table is read and what is to be told, and the sizes that a model gets from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from seqtool.errors import InputError
from seqtool.settings.fields import Panel, setting
from seqtool.settings.vocabulary import VOCABULARY_TYPES

TASKS = ("language", "classify", "regress", "tag", "forecast", "translate")
"""What can be learned; the first from plain text, the others from examples."""
LANGUAGE, CLASSIFY, FORECAST, TRANSLATE = TASKS[0], TASKS[1], TASKS[4], TASKS[5]
FORMATS = ("auto", "csv", "jsonl", "labelled", "conll", "lines")
HEADERS = ("auto", "yes", "no")
CLASS_WEIGHTS = ("none", "balanced")
SIDE_TYPES = ("auto", *VOCABULARY_TYPES)
DECOMPOSED = "nfd"
FORMS = ("as-is", DECOMPOSED)
SHARING = ("auto", "shared", "separate")
MAX_LENGTH = 1 << 20
MOST_TABLES, MOST_SIZE, MOST_WIDTH = 64, 1 << 26, 1 << 20


@dataclass(frozen=True, kw_only=True)
class ExampleConfig:
    """What of a table of examples is read, and what is to be told from it."""

    task: str = setting(
        "",
        "What to learn, if not what the target suggests.",
        panel=Panel.EXAMPLES,
        choices=TASKS,
        shown_default="by the target",
    )
    target: str = setting(
        "",
        "Column to tell from the others; several, separated by commas, are forecast together. Of a FILE, each line is "
        "the translation of one of DATA.",
        panel=Panel.EXAMPLES,
        metavar="COLUMN|FILE",
    )
    text: str = setting(
        "", "Columns to read as text.", panel=Panel.EXAMPLES, metavar="COLUMNS", shown_default="by their values"
    )
    numeric: str = setting(
        "", "Columns to read as numbers.", panel=Panel.EXAMPLES, metavar="COLUMNS", shown_default="by their values"
    )
    categorical: str = setting(
        "", "Columns to read as categories.", panel=Panel.EXAMPLES, metavar="COLUMNS", shown_default="by their values"
    )
    ignore: str = setting("", "Columns to leave out.", panel=Panel.EXAMPLES, metavar="COLUMNS")
    positive: str = setting(
        "",
        "Of two values of the target the one whose probability is told.",
        panel=Panel.EXAMPLES,
        metavar="VALUE",
        shown_default="the later of the two in order",
    )
    unscored: str = setting(
        "",
        "Label, such as _, of tokens that are neither learned from nor scored.",
        panel=Panel.EXAMPLES,
        metavar="LABEL",
    )
    weight: str = setting("", "Column with the weight of each example.", panel=Panel.EXAMPLES, metavar="COLUMN")
    format: str = setting("auto", "Layout of the data.", panel=Panel.EXAMPLES, choices=FORMATS)
    header: str = setting(
        "auto", "Whether a table begins with the names of its columns.", panel=Panel.EXAMPLES, choices=HEADERS
    )
    delimiter: str = setting(
        "auto",
        "What separates a table's columns: tab, comma, semicolon, bar or a character.",
        panel=Panel.EXAMPLES,
        metavar="DELIMITER",
    )
    max_length: int = setting(
        1024, "Tokens of an example that are read; the rest is cut off.", panel=Panel.EXAMPLES, low=1, high=MAX_LENGTH
    )
    source_type: str = setting(
        "auto",
        "translate: unit of the vocabulary of the texts that are read.",
        panel=Panel.TRANSLATION,
        choices=SIDE_TYPES,
        shown_default="--vocab-type's, bpe",
    )
    target_type: str = setting(
        "auto",
        "translate: unit of the vocabulary of the texts that are written.",
        panel=Panel.TRANSLATION,
        choices=SIDE_TYPES,
        shown_default="--vocab-type's, bpe",
    )
    source_form: str = setting(
        "as-is",
        "translate: read texts as they are, or decomposed (nfd): the letters of Korean syllables and accents apart.",
        panel=Panel.TRANSLATION,
        choices=FORMS,
    )
    vocabularies: str = setting(
        "auto",
        "translate: one vocabulary and embedding for both sides, or two; auto: one where both are of pieces.",
        panel=Panel.TRANSLATION,
        choices=SHARING,
    )
    horizon: int = setting(
        0, "Forecast so many steps.", panel=Panel.FORECASTS, low=0, high=10_000, shown_default="one season"
    )
    window: int = setting(
        0,
        "Read so many steps before those that are forecast.",
        panel=Panel.FORECASTS,
        low=0,
        high=100_000,
        shown_default="by season and horizon",
    )
    quantiles: str = setting(
        "",
        "Forecast these quantiles beside the mean, such as .1,.5,.9.",
        panel=Panel.FORECASTS,
        metavar="Q,...",
        shown_default=".05,.5,.95",
    )
    season: int = setting(
        0,
        "Steps of a season, such as 24 of hours.",
        panel=Panel.FORECASTS,
        low=0,
        high=100_000,
        shown_default="by the times",
    )
    time_column: str = setting(
        "", "Column with the time of each step.", panel=Panel.FORECASTS, metavar="COLUMN", shown_default="by its values"
    )
    series: str = setting(
        "",
        "Column that names the series of each row.",
        panel=Panel.FORECASTS,
        metavar="COLUMN",
        shown_default="by its values",
    )
    future: str = setting(
        "", "Columns whose values are known beforehand, as holidays are.", panel=Panel.FORECASTS, metavar="COLUMNS"
    )


def header_of(examples: ExampleConfig) -> bool | None:
    """Whether a table has a header; None where that is to be found out."""
    return {"yes": True, "no": False}.get(examples.header)


def listed(names: str, known: Collection[str] = ()) -> tuple[str, ...]:
    """The names in a list with commas; the whole as one name, if it is `known` as that."""
    if names in known:
        return (names,)
    return tuple(name.strip() for name in names.split(",") if name.strip())


@dataclass(frozen=True, kw_only=True)
class ExampleShape:
    """The sizes of what a model of examples reads and answers."""

    tables: tuple[int, ...] = ()
    """Sizes of the tables of which each token has a row: the symbols of a vocabulary, spellings of a word."""
    begin_id: int = 0
    """The row that stands before the first token and after the last."""
    steps: int = 0
    """Steps of a series that are read; 0 where the sequence is of tokens, or there is none."""
    channels: int = 0
    """Numbers of each step."""
    numbers: int = 0
    """Numbers of an example as a whole: numeric columns, what is known of the future."""
    categories: tuple[int, ...] = ()
    """For each categorical column how many values it has."""
    outputs: int = 1
    """Numbers that are answered for an example, or for each token."""
    each: bool = False
    """Whether each token has an answer of its own."""
    fitted: int = 0
    """Numbers that validation fits: temperature, thresholds, shifts of quantiles."""

    target_symbols: int = 0
    """Symbols of the text that is written for an example; 0 where numbers are answered."""
    target_begin_id: int = 0
    """Of these the one that begins and ends it."""
    one_table: bool = False
    """Whether what is read and what is written are of one vocabulary, with one embedding."""

    def told(self) -> dict[str, Any]:
        """The sizes by name; those that runs made before have not, where they say something."""
        return {
            item.name: value
            for item in dataclasses.fields(self)
            for value in [getattr(self, item.name)]
            if item.name not in OF_WRITING or value != item.default
        }

    @property
    def pools_text(self) -> bool:
        """Whether an example is a text with one answer: tokens with a row each, pooled."""
        return len(self.tables) == 1 and not self.each and not self.target_symbols


OF_WRITING = ("target_symbols", "target_begin_id", "one_table")
"""The sizes of what writes a text for an example."""


def shape_from(values: Mapping[str, Any], source: str) -> ExampleShape:
    """A shape read from `source`; InputError for what is no shape, or sizes beyond reason."""
    known = {item.name: item for item in dataclasses.fields(ExampleShape)}
    try:
        given: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        shape = ExampleShape(**given)
    except (TypeError, AttributeError) as error:
        raise InputError(f"{source} is no shape of examples: it was edited") from error
    for name, item in known.items():
        value = getattr(shape, name)
        numbers = value if isinstance(item.default, tuple) else (value,)
        if type(value) is not type(item.default) or len(numbers) > MOST_WIDTH:
            raise InputError(f"{source}: {name} is of the wrong kind: it was edited")
        most = MOST_SIZE if name in ("tables", "categories", "begin_id", *OF_WRITING) else MOST_WIDTH
        if any(type(number) not in (int, bool) or not 0 <= number <= most for number in numbers):
            raise InputError(f"{source}: {name} is impossible: it was edited")
    sizes = (shape.outputs, *shape.tables, *(size - 1 for size in shape.categories))
    if len(shape.tables) > MOST_TABLES or min(sizes) < 1:
        raise InputError(f"{source} holds impossible sizes: it was edited")
    if shape.tables and shape.begin_id >= min(shape.tables):
        raise InputError(f"{source}: begin_id is none of the symbols: it was edited")
    if shape.target_begin_id >= max(1, shape.target_symbols) or (
        shape.one_table and shape.tables != (shape.target_symbols,)
    ):
        raise InputError(f"{source}: what is written does not fit its symbols: it was edited")
    return shape
