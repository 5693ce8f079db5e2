"""Going on with a run: its own settings, with what may change."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from seqtool.errors import InputError, UsageError
from seqtool.runs.config import RunConfig
from seqtool.settings.checking import checked
from seqtool.settings.training import DECIDED_BY_MACHINE, FULL, LENGTHS, MAY_CHANGE, RATE_SETTINGS


def refuse_other(differs: dict[str, object]) -> None:
    """UsageError naming the flags that ask for something else than the run was begun with."""
    if other := [flag for flag, is_other in differs.items() if is_other]:
        raise UsageError(
            f"--resume goes on with the run's own data and vocabulary, and {' and '.join(other)} "
            f"{'names' if len(other) == 1 else 'name'} another: leave {'it' if len(other) == 1 else 'them'} out"
        )


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
