"""Text that lies in a field of JSON lines: the text of each is a document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from seqtool.errors import InputError

MAX_LINE = 1 << 28  # characters; a longer line is no record
SURROGATE = re.compile("[\ud800-\udfff]")


def field_texts(chunks: Iterable[str], field: str, name: str, errors: str = "strict") -> Iterator[str]:
    """The text of a field of each line, in order, empty for null; lines that are blank are passed over.

    InputError, naming the line, where it is no object of JSON, or the field is missing or no text. Half of a character,
    which JSON can spell, becomes U+FFFD where `errors` is `replace`.
    """
    for number, line in enumerate(_lines(chunks, name), 1):
        if not line.strip():
            continue
        where = f"line {number:,} of {name}"
        try:
            record = json.loads(line)
        except RecursionError:
            raise InputError(f"{where} is JSON nested too deeply: mend it") from None
        except ValueError as error:
            reason = getattr(error, "msg", "a number that is too long")
            raise InputError(
                f"{where} is not JSON ({reason[:1].lower()}{reason[1:]}): mend it, or leave it out; --jsonl-field "
                "is for every text of a command"
            ) from None
        if not isinstance(record, dict):
            raise InputError(f"{where} is JSON but no object: --jsonl-field reads an object a line")
        if field not in record:
            has = ", ".join(list(record)[:10]) or "nothing"
            raise InputError(f"{where} has no field {field!r} (it has {has}): name another with --jsonl-field")
        text = record[field]
        if text is None:
            text = ""
        if not isinstance(text, str):
            raise InputError(f"{where} has no text in {field!r} but {json.dumps(text)[:40]}: name another field")
        if SURROGATE.search(text):
            if errors == "strict":
                raise InputError(
                    f"{where} has half of a character in {field!r}, which is no text: mend it, or read on with "
                    "--errors replace"
                )
            text = SURROGATE.sub("\ufffd", text)
        yield text


def _lines(chunks: Iterable[str], name: str) -> Iterator[str]:
    """Lines as they arrive; InputError for one beyond all measure."""
    rest: list[str] = []
    held = 0
    for chunk in chunks:
        *whole, last = chunk.split("\n")
        for line in whole:
            yield "".join([*rest, line])
            rest, held = [], 0
        rest.append(last)
        held += len(last)
        if held > MAX_LINE:
            raise InputError(f"{name} has a line of more than {MAX_LINE:,} characters: give an object a line")
    if last := "".join(rest):
        yield last
