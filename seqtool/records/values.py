"""What a single value of a table means: missing, a number, several labels."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

MISSING = frozenset({"", " ", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "?"})
"""How tables spell a value that is not there."""

NUMBER_BEGINS = frozenset("0123456789+-. \t")
TIME = re.compile(
    r"\d{4}-\d\d(-\d\d([T ]\d\d?:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d:?\d\d)?)?)?"
    r"|(\d{4}/\d\d?/\d\d?|\d\d?([./-])\d\d?\7\d{4})( \d\d?:\d\d(:\d\d)?)?",
    re.ASCII,
)
"""A date, with or without a time of day."""

COMMA_NUMBER = re.compile(r"\s*[+-]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?([eE][+-]?\d+)?\s*", re.ASCII)
"""A number where the comma is the decimal mark, with or without dots between thousands."""


def number_of(value: str | None) -> float:
    """The finite number that a value spells; nan where it spells none."""
    if value is None or value[:1] not in NUMBER_BEGINS or "_" in value:  # which Python allows between digits
        return math.nan
    try:
        number = float(value)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def numbers_of(values: Sequence[str | None]) -> npt.NDArray[np.float64]:
    """The finite number that each value spells; nan where it spells none."""
    try:
        numbers = np.fromiter(map(float, ("nan" if value is None else value for value in values)), float, len(values))
    except ValueError:
        return np.array([number_of(value) for value in values])
    joined = "".join(value or "" for value in values)
    if "_" in joined or not joined.isascii():
        return np.array([number_of(value) for value in values])
    numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def with_decimal_point(value: str) -> str:
    """A value whose decimal mark is a comma, with a point instead; unchanged if it is not a number."""
    return value.replace(".", "").replace(",", ".") if COMMA_NUMBER.fullmatch(value) else value


def labels_of(value: str | None, format: str) -> list[str]:
    """The labels in a value: a JSON list's items in JSON lines, words in labelled lines, otherwise the value itself."""
    if value is None:
        return []
    if format == "labelled":
        return value.split()
    if format == "jsonl" and value.startswith("["):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
        return [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in found]
    return [value]
