"""Going on with a language model: its own configuration, with what may change, and its text read again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqtool.errors import InputError, UsageError
from seqtool.files.writing import file_sha256
from seqtool.runs.config import WEIGHTS, RunConfig, read_config, read_vocabulary
from seqtool.settings.checking import check_used
from seqtool.settings.vocabulary import VocabularyConfig
from seqtool.tasks.language.data import TrainingData, held_share, prepare_data, with_seen
from seqtool.tasks.language.old_text import old_text, with_old_text
from seqtool.tasks.request import Request
from seqtool.tasks.resuming import refuse_other, refuse_other_data, resumed_config
from seqtool.text.growing import before_growing
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
    refuse_other(
        {
            "--vocab": request.vocab and load_vocabulary(request.vocab).sha256 != vocabulary.sha256,
            **_other_vocabulary(request.vocabulary, vocabulary),
            "--jsonl-field": request.jsonl_field and request.jsonl_field != record.get("jsonl_field", ""),
            "--document": request.document and request.document != record.get("document", "file"),
            "--embeddings": request.embeddings
            and file_sha256(request.embeddings) != record.get("embeddings", {}).get("sha256"),
            "--from": request.from_run and not _is_start(request.from_run, record.get("from", {})),
            "--grow-vocab": request.grow_vocab and before_growing(vocabulary) is vocabulary,
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
        watch=request.watch or record.get("watch"),
        field=str(record.get("jsonl_field", "")),
        world=world,
    )
    if also := record.get("also_seen"):
        prepared = dataclasses.replace(prepared, seen_counts=with_seen(prepared, also))
    if request.watch is None and "old_text" in record:
        start = str(record.get("from", {}).get("name"))
        old = old_text(start, record["old_text"], before_growing(vocabulary), request.errors)
        prepared = with_old_text(prepared, old)
    refuse_other_data(path, run_config, prepared.record, TOLD)
    return run_config, prepared


def _is_start(path: Path, record: Mapping[str, Any]) -> bool:
    """Whether a run is the one that was begun with: by its weights, or by its name where it is not there any more."""
    weights = path / WEIGHTS
    return file_sha256(weights) == record.get("sha256") if weights.is_file() else str(path) == record.get("name")


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
