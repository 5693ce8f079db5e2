"""Going on with a run: its own settings, with what may change."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqtool.errors import InputError, UsageError
from seqtool.files.writing import file_sha256
from seqtool.runs.config import WEIGHTS, RunConfig
from seqtool.settings.checking import checked
from seqtool.settings.training import DECIDED_BY_MACHINE, FULL, LENGTHS, MAY_CHANGE, RATE_SETTINGS
from seqtool.settings.vocabulary import LEARNED_BY, VocabularyConfig
from seqtool.tasks.request import Request
from seqtool.text.vocabulary import Vocabulary


def refuse_other(differs: dict[str, object]) -> None:
    """UsageError naming the flags that ask for something else than the run was begun with."""
    if other := [flag for flag, is_other in differs.items() if is_other]:
        raise UsageError(
            f"--resume goes on with the run's own data and vocabulary, and {' and '.join(other)} "
            f"{'names' if len(other) == 1 else 'name'} another: leave {'it' if len(other) == 1 else 'them'} out"
        )


def other_beginning(request: Request, record: Mapping[str, Any]) -> dict[str, object]:
    """Which flags name other vectors or another run than the one that goes on was begun with, by its `record`."""
    vectors, start = record.get("embeddings", {}), record.get("from", {})
    return {
        "--embeddings": request.embeddings and file_sha256(request.embeddings) != vectors.get("sha256"),
        "--from": request.from_run and not _is_start(request.from_run, start),
    }


def _is_start(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether a run is the one that was begun with: by its weights, or by its name where it is not there any more."""
    weights = path / WEIGHTS
    return file_sha256(weights) == record.get("sha256") if weights.is_file() else str(path) == record.get("name")


def other_vocabulary(asked: Mapping[str, Any], vocabularies: Sequence[Vocabulary]) -> dict[str, object]:
    """Which settings, by their flags, ask for another vocabulary to be learned than each of a run's own."""
    wanted = VocabularyConfig(**asked)

    def differs(name: str, vocabulary: Vocabulary) -> bool:
        made = vocabulary.metadata
        if name == "size":
            return wanted.size not in (made.get("requested_size"), vocabulary.size)
        own = {"type": vocabulary.type, "symbols": [], "split_digits": False} | made
        return bool((wanted.symbol_list if name == "symbols" else getattr(wanted, name)) != own.get(name))

    found: dict[str, object] = {}
    for name in asked:
        meant = [one for one in vocabularies if one.type in LEARNED_BY.get(name, (one.type,))]
        flag = f"--vocab-{name}" if name in ("type", "size") else f"--{name.replace('_', '-')}"
        found[flag] = any(differs(name, one) for one in meant) if meant else asked[name]
    return found


def refuse_other_data(
    path: Path, config: RunConfig, record: Mapping[str, Any], told: Mapping[str, tuple[str, str]]
) -> None:
    """InputError where what was read is not what a run's configuration says: `told` names each entry's flag."""
    for name, (flag, verb) in told.items():
        if record.get(name) != config.data.get(name):
            if name == "sha256" and config.shape is None:
                raise InputError(
                    f"{path} was trained on other text than DATA, which has {_length(config.data, record)}: --resume "
                    f"goes on with the same text; to learn from this one, begin a new run with --from {path}"
                )
            raise InputError(f"{path} {verb} other text ({name} differs): give --resume the same as {flag}")


def _length(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How long a text is beside the one before it."""
    difference = int(now.get("bytes", 0)) - int(before.get("bytes", 0))
    if not difference:
        return "as many bytes but not the same ones"
    return f"{abs(difference):,} bytes {'more' if difference > 0 else 'fewer'}"


def resumed_config(config: RunConfig, asked: Mapping[str, Any], flags: Collection[str] = ()) -> RunConfig:
    """A run's configuration with what was asked beside --resume; UsageError naming what may not change.

    `flags` are the settings asked for on the command line itself: only there may the rate be changed.
    """
    now = {**dataclasses.asdict(config.model), **dataclasses.asdict(config.training)}
    if config.training.within_documents and asked.get("bptt") == FULL:
        now["bptt"] = FULL  # which became the length of the longest document
    may_change = (*MAY_CHANGE, *(name for name in RATE_SETTINGS if name in flags))
    decided = {name for name in DECIDED_BY_MACHINE if asked.get(name) == "auto"}
    wanted = {name: value for name, value in asked.items() if value != now[name] and name not in decided}
    if fixed := [name for name in wanted if name not in may_change]:
        told = ", ".join(f"--{name.replace('_', '-')} {asked[name]} (was {now[name]})" for name in fixed)
        may, by_flag = (
            ", ".join(f"--{name.replace('_', '-')}" for name in names) for names in (MAY_CHANGE, RATE_SETTINGS)
        )
        raise UsageError(
            f"--resume goes on with the run's own settings, not with {told}; only {may} may change, "
            f"and, on the command line itself, {by_flag}"
        )
    if any(name in wanted for name in LENGTHS):
        wanted = {**dict.fromkeys(LENGTHS, 0), **wanted}
    return dataclasses.replace(config, training=checked(dataclasses.replace(config.training, **wanted)))
