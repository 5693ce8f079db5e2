"""Rows of JSON lines: an object a line."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from seqtool.records.lines import BrokenRow, Lines, Row, without_newline
from seqtool.records.values import MISSING

SURROGATE = re.compile("[\ud800-\udfff]")  # half of a character, which JSON can escape and UTF-8 cannot spell


class Number(str):
    """A number as it is written."""


_decoder = json.JSONDecoder(parse_int=Number, parse_float=Number)


def parse_object(line: str) -> dict[str, Any]:
    """The object in a line, its numbers as they are written; BrokenRow if there is none."""
    try:
        found = _decoder.decode(line)
    except RecursionError:
        raise BrokenRow("is JSON nested too deeply") from None
    except ValueError as error:
        where = f", at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        reason = error.msg[:1].lower() + error.msg[1:] if isinstance(error, json.JSONDecodeError) else str(error)
        raise BrokenRow(f"is not JSON: {reason}{where}") from None
    if not isinstance(found, dict):
        raise BrokenRow("is JSON but not an object in braces: give an object a line")
    return found


def value_of(found: Any, as_text: bool = False) -> str | None:
    """A member as a value: a string or number as it is written, true and false, JSON for lists and objects.

    `as_text`: of strings only an empty one is missing.
    """
    if isinstance(found, Number):
        return str(found)
    if isinstance(found, str):
        return None if found in MISSING and not (found and as_text) else found
    if found is None or isinstance(found, float):  # a float is NaN or an infinity: numbers are strings
        return None
    if isinstance(found, bool):
        return "true" if found else "false"
    return _written(found)


def _written(found: Any) -> str:
    """JSON of what was parsed, its numbers as they were written."""
    if isinstance(found, Number):
        return str(found)
    if isinstance(found, list):
        return f"[{', '.join(map(_written, found))}]"
    if isinstance(found, dict):
        members = (f"{json.dumps(name, ensure_ascii=False)}: {_written(member)}" for name, member in found.items())
        return f"{{{', '.join(members)}}}"
    return json.dumps(found, ensure_ascii=False)


def json_rows(lines: Lines, columns: Sequence[str], as_text: Collection[str] = ()) -> Iterator[Row]:
    """A row for each line that is not blank; other members than `columns` are left out."""
    nothing = (None,) * len(columns)
    while True:
        lines.begin()
        try:
            line = next(lines)
            if not line.strip():
                continue
            if lines.problem:
                raise BrokenRow(lines.problem)
            members = parse_object(without_newline(line))
            values = tuple([value_of(members.get(column), column in as_text) for column in columns])
            if "\\u" in line and any(value is not None and SURROGATE.search(value) for value in values):
                raise BrokenRow("has half of a surrogate pair, which is no character")
        except StopIteration:
            return
        except (BrokenRow, RecursionError) as error:
            yield Row(lines.number, nothing, str(error))
            continue
        yield Row(lines.number, values)
