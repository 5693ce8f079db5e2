"""Going on with a run: its own configuration, with what may change, and its data read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from seqtool.errors import InputError, UsageError
from seqtool.files.writing import file_sha256
from seqtool.runs import RunConfig, read_config, read_vocabulary
from seqtool.settings.checking import check_used, checked
from seqtool.settings.training import DECIDED_BY_MACHINE, FULL, LENGTHS, MAY_CHANGE, RATE_SETTINGS
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.language.data import TrainingData, held_share, prepare_data
from seqtool.tasks.language.request import Request
from seqtool.text.vocabulary import Vocabulary, load_vocabulary
from seqtool.training.world import World


def resumed_run(path: Path, request: Request, device: str, world: World) -> tuple[RunConfig, TrainingData]:
    """A run's configuration, with what may change, and its data read again.

    What was asked is compared with what the run was begun with by value, and files by content, so that the command
    that began it can be given again from anywhere.
    """
    begun = read_config(path)
    vocabulary = read_vocabulary(path, begun)
    record = begun.data
    _refuse_other(
        {
            "--vocab": request.vocab and load_vocabulary(request.vocab).sha256 != vocabulary.sha256,
            **_other_vocabulary(request.vocabulary, vocabulary),
            "--document": request.document and request.document != record.get("document", "file"),
            "--embeddings": request.embeddings
            and file_sha256(request.embeddings) != record.get("embeddings", {}).get("sha256"),
        }
    )
    run_config = resumed_config(begun, {**request.settings, "device": device}, request.flags)
    if problems := check_used(request.flags, run_config.model, run_config.training):
        raise UsageError("; ".join(problems))
    prepared = prepare_data(
        request.data,
        vocabulary=vocabulary,
        vocabulary_config=VocabularyConfig(),
        valid=_valid_again(request.valid, record),
        errors=request.errors,
        document=str(record.get("document", "file")),
        seed=run_config.training.seed,
        weights=request.weights,
        subword_sampling=run_config.training.subword_sampling,
        softmax=run_config.training.softmax,
        world=world,
    )
    _refuse_other_data(path, run_config, prepared)
    return run_config, prepared


def _other_vocabulary(asked: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, object]:
    """Which settings, by their flags, ask for another vocabulary to be learned than a run's own."""
    made, wanted = vocabulary.metadata, VocabularyConfig(**asked)
    sizes, digits = (made.get("requested_size"), vocabulary.size), made.get("split_digits", False)
    return {
        "--vocab-type": "type" in asked and wanted.type != vocabulary.type,
        "--vocab-size": wanted.size and wanted.size not in sizes,
        "--min-count": wanted.min_count and wanted.min_count != made.get("min_count"),
        "--symbols": "symbols" in asked and wanted.symbol_list != made.get("symbols", []),
        "--split-digits": "split_digits" in asked and wanted.split_digits != digits,
    }


def _refuse_other(differs: dict[str, object]) -> None:
    """UsageError naming the flags that ask for something else than the run was begun with."""
    if other := [flag for flag, is_other in differs.items() if is_other]:
        raise UsageError(
            f"--resume goes on with the run's own data and vocabulary, and {' and '.join(other)} "
            f"{'names' if len(other) == 1 else 'name'} another: leave {'it' if len(other) == 1 else 'them'} out"
        )


def _valid_again(asked: str | None, record: dict[str, Any]) -> str | None:
    """The validation text or share of a run that goes on: what is asked now, or else what was when it began."""
    begun: str | None = record.get("valid")
    if asked is not None:
        if held_share(asked) != (None if "valid_sha256" in record else held_share(begun)):
            _refuse_other({"--valid": True})
        return asked
    if "valid_sha256" not in record or begun is None:
        return begun
    places = [str(record.get("valid_path", begun)), begun]
    there = [place for place in places if Path(place).exists()]
    if not there:
        raise InputError(f"{begun}, on which the run validates, is not there: say with --valid where it is")
    return there[0]


def _refuse_other_data(path: Path, config: RunConfig, prepared: TrainingData) -> None:
    told = {
        "sha256": ("DATA", "was trained on"),
        "valid_sha256": ("--valid", "validates on"),
        "weights": ("the weights of DATA", "was trained with"),
        "train_tokens": ("DATA and --valid", "was trained on"),
        "valid_tokens": ("DATA and --valid", "validates on"),
    }
    for name, (flag, verb) in told.items():
        if prepared.record.get(name) != config.data.get(name):
            raise InputError(f"{path} {verb} other text ({name} differs): give --resume the same as {flag}")


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
