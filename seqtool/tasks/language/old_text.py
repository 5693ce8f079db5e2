"""The text on which an earlier run was validated: a run that begins with its weights is scored on it as well."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from seqtool.errors import SeqtoolError
from seqtool.tasks.language.data import Reading, TrainingData, split
from seqtool.text.encoded import read_encoded
from seqtool.text.sequences import IdSequence
from seqtool.text.store import is_store
from seqtool.text.vocabulary import Vocabulary

MAX_BYTES = 256 << 20  # of a text that is read again, to find the part of it that was held back
KEPT = ("name", "paths", "sha256", "document", "valid", "valid_path", "valid_sha256", "jsonl_field")
"""What of the earlier run's record says which text that is."""


class OldText(NamedTuple):
    """The ids of that text, what says where it is, and a sentence on it; no ids where it is not to be had."""

    ids: IdSequence | None
    record: dict[str, Any]
    told: str


def old_text(run: str, record: Mapping[str, Any], vocabulary: Vocabulary, errors: str) -> OldText:
    """Read again what the run of that name was validated on, by its record, if that is still there and unchanged.

    `vocabulary` is the one that it was trained with, so that the same part of a text is held back.
    """
    kept = {name: record[name] for name in KEPT if name in record}
    in_file = "valid_sha256" in record
    name = Path(str(record.get("valid_path" if in_file else "name", "its text"))).name
    if in_file:
        paths = [next(filter(_is_there, (str(record.get(key, "")) for key in ("valid_path", "valid"))), "")]
    else:
        paths = list(map(str, record.get("paths") or str(record.get("name", "")).split(", ")))

    def without(why: str) -> OldText:
        return OldText(None, kept, f"{why}, so what is forgotten of it is not seen: name a text with --watch")

    if "imported" in record:
        return without(f"{run} was imported, and does not say on which text it was validated")
    if not all(map(_is_there, paths)):
        return without(f"{name}, on which {run} was validated, is not there any more")
    if sum(_size(path) for path in paths) > MAX_BYTES:
        return without(f"{name}, on which {run} was validated, is too long to be read again")
    reading = Reading(errors, str(record.get("document", "file")), str(record.get("jsonl_field", "")))
    try:
        encoded = read_encoded(
            paths, vocabulary, lambda: reading.source(paths), lambda source: vocabulary, verify=False
        )
        if encoded.sha256 != record["valid_sha256" if in_file else "sha256"]:
            return without(f"{name}, on which {run} was validated, has changed since")
        ids = encoded.ids if in_file else split(encoded, vocabulary, record.get("valid"), reading)[1]
    except (SeqtoolError, KeyError):
        return without(f"{name}, on which {run} was validated, cannot be read again")
    part = "" if in_file else "the validation part of "
    return OldText(ids, kept, f"the old text is {part}{name}: its loss is recorded from before the first step on")


def with_old_text(data: TrainingData, old: OldText) -> TrainingData:
    """The data of a new run with that text to watch, where there is one."""
    record = data.record if old.ids is None else {**data.record, "old_text": old.record}
    return dataclasses.replace(data, watched_ids=old.ids, about_old=old.told, record=record)


def _is_there(path: str) -> bool:
    return Path(path).is_file() or is_store(Path(path))


def _size(path: str) -> int:
    return 0 if is_store(Path(path)) else Path(path).stat().st_size
