"""Going on with a language model: its own configuration, with what may change, and its text read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqtool.errors import InputError, UsageError
from seqtool.runs.config import RunConfig, read_config, read_vocabulary
from seqtool.settings.checking import check_used
from seqtool.settings.examples import LANGUAGE
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.language.data import Reading, TrainingData, held_share, prepare_data, with_seen
from seqtool.tasks.language.old_text import old_text, with_old_text
from seqtool.tasks.request import Request
from seqtool.tasks.resuming import other_beginning, other_vocabulary, refuse_other, refuse_other_data, resumed_config
from seqtool.text.growing import before_growing
from seqtool.text.vocabulary import Vocabulary, load_vocabulary
from seqtool.training.world import World


def resumed_run(path: Path, request: Request, device: str, world: World) -> tuple[RunConfig, TrainingData]:
    """A run's configuration, with what may change, and its data read again.

    What was asked is compared with what the run was begun with by value, and files by content, so that the command
    that began it can be given again from anywhere.
    """
    begun = read_config(path)
    asked = [name for name, value in request.examples.items() if (name, value) != ("task", LANGUAGE)]
    if asked:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise UsageError(f"{flags}: {path} is a language model, which reads plain text; leave that out")
    vocabulary = read_vocabulary(path, begun)
    record = begun.data
    refuse_other(
        {
            "--vocab": request.vocab and load_vocabulary(request.vocab).sha256 != vocabulary.sha256,
            **other_vocabulary(request.vocabulary, [vocabulary]),
            **other_beginning(request, record),
            "--jsonl-field": request.jsonl_field and request.jsonl_field != record.get("jsonl_field", ""),
            "--document": request.document and request.document != record.get("document", "file"),
            "--grow-vocab": request.grow_vocab and own_growth(record, vocabulary) is None,
            "--watch": request.watch and "watch" not in record,
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
        field=str(record.get("jsonl_field", "")),
        world=world,
    )
    if also := record.get("also_seen"):
        prepared = dataclasses.replace(prepared, seen_counts=with_seen(prepared, also))
    if "watch" in record:
        prepared = _watching(prepared, request, record)
    elif "old_text" in record:
        start = str(record.get("from", {}).get("name"))
        before = before_growing(vocabulary) if own_growth(record, vocabulary) else vocabulary
        prepared = with_old_text(prepared, old_text(start, record["old_text"], before, request.errors))
    refuse_other_data(path, run_config, prepared.record, TOLD)
    return run_config, prepared


def own_growth(record: Mapping[str, Any], vocabulary: Vocabulary) -> int | None:
    """How many tokens a run's vocabulary gained when it began, by its `record`; None where it was not to grow."""
    start = record.get("from", {})
    if "grown" in start:
        return start["grown"]
    before = before_growing(vocabulary)  # of a run made before that was recorded
    return None if before is vocabulary else vocabulary.size - before.size


def _watching(prepared: TrainingData, request: Request, record: Mapping[str, Any]) -> TrainingData:
    """The data with the text that --watch named when the run began, or a sentence where that is gone or has changed.

    InputError where --watch now names another.
    """
    begun = str(record["watch"])
    asked = request.watch or begun
    name, mend = Path(begun).name, "is not watched any more: say with --watch where it is"
    is_begun = str(Path(asked).absolute()) == begun
    if is_begun and not Path(asked).exists():
        return dataclasses.replace(prepared, about_old=f"{name} is not there, and {mend}")
    reading = Reading(request.errors, str(record.get("document", "file")), str(record.get("jsonl_field", "")))
    watched = reading.encoded(asked, prepared.vocabulary)
    if watched.sha256 == record.get("watch_sha256", watched.sha256):
        return dataclasses.replace(prepared, watched_ids=watched.ids)
    if request.watch is None:
        return dataclasses.replace(prepared, about_old=f"{name} has changed, and {mend}")
    raise InputError(f"--watch {asked} is another text than {begun}, which the run watches: give that, or leave it out")


def _valid_again(asked: str | None, record: dict[str, Any]) -> str | None:
    """The validation text or share of a run that goes on: what is asked now, or else what was when it began."""
    begun: str | None = record.get("valid")
    if asked is not None:
        if held_share(asked) != (None if "valid_sha256" in record else held_share(begun)):
            refuse_other({"--valid": True})
        return asked
    if "valid_sha256" not in record or begun is None:
        return begun
    places = [str(record.get("valid_path", begun)), begun]
    there = [place for place in places if Path(place).exists()]
    if not there:
        raise InputError(f"{begun}, on which the run validates, is not there: say with --valid where it is")
    return there[0]


TOLD = {
    "sha256": ("DATA", "was trained on"),
    "valid_sha256": ("--valid", "validates on"),
    "weights": ("the weights of DATA", "was trained with"),
    "train_tokens": ("DATA and --valid", "was trained on"),
    "valid_tokens": ("DATA and --valid", "validates on"),
}
"""The entries of a run's record that must be the same, what the user gives for each, and what the run does with it."""
