"""From what a user asks for to a run's whole configuration and data."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

from seqtool.embeddings.pretrained import match_pretrained
from seqtool.errors import UsageError
from seqtool.files.writing import refuse_directory
from seqtool.runs import CHECKPOINT, RunConfig, is_run, new_config, read_config
from seqtool.settings.architectures import ARCHITECTURES, DEFAULT
from seqtool.settings.checking import check_used, checked
from seqtool.settings.defaults import Facts, resolve
from seqtool.settings.model import Symbols
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.tasks.language.data import TrainingData, load_vocabulary_or_none, prepare_data
from seqtool.tasks.language.request import Request
from seqtool.tasks.language.resuming import resumed_run
from seqtool.training.machine import with_machine
from seqtool.training.world import World, restarts
from seqtool.vectors.vectors import Vectors, read_vectors

DEFAULT_VOCABULARY = VocabularyConfig.type


class Plan(NamedTuple):
    """The whole configuration of a run, its data, and whether it goes on from a checkpoint."""

    config: RunConfig
    data: TrainingData
    resume: bool


def plan_run(path: Path, request: Request, device: str, resume: bool, dry_run: bool, world: World) -> Plan:
    """Plan the run at `path`: from the request to facts about the data, from these to settings.

    `device` is the name that is recorded; with `dry_run` nothing is tried out on the machine, nor refused for what lies
    at the run's place.
    """
    if resume:
        return Plan(*resumed_run(path, request, device, world), True)
    restarted = restarts() > 0 and is_run(path) and (path / CHECKPOINT).is_file()
    if not dry_run and not restarted:
        refuse_directory(path, request.force, request.data)
    run_config, prepared = _begun(request, device, world)
    if dry_run:
        return Plan(run_config, prepared, False)
    if restarted:  # torchrun has started this command before: go on with what it left, if it is what it began
        left = read_config(path)
        if _as_asked(left, run_config) == run_config:
            return Plan(left, prepared, True)
        refuse_directory(path, request.force, request.data)
    return Plan(with_machine(run_config, device, world), prepared, False)


def _as_asked(left: RunConfig, asked: RunConfig) -> RunConfig:
    """A run's configuration with `auto` again where it was asked for: what that comes to is not tried twice."""
    tried = {name: getattr(asked.training, name) for name in ("device", "precision", "compile")}
    decided = [name for name, value in tried.items() if value != "auto" and name != "device"]
    if any(getattr(left.training, name) != tried[name] for name in decided):
        return left
    return dataclasses.replace(left, training=dataclasses.replace(left.training, **tried), made_by=asked.made_by)


def _begun(request: Request, device: str, world: World) -> tuple[RunConfig, TrainingData]:
    """A new run's configuration and data."""
    vectors = None if request.embeddings is None else read_vectors(request.embeddings)
    settings = _with_width(request, vectors)
    kind = _vocabulary_to_learn(request, vectors)
    prepared = prepare_data(
        request.data,
        vocabulary=load_vocabulary_or_none(request.vocab),
        vocabulary_config=kind,
        valid=request.valid,
        errors=request.errors,
        document=request.document or "file",
        seed=request.settings.get("seed", TrainConfig.seed),
        weights=request.weights,
        subword_sampling=request.settings.get("subword_sampling", TrainConfig.subword_sampling),
        softmax=request.settings.get("softmax", TrainConfig.softmax),
        world=world,
    )
    vocabulary = prepared.vocabulary
    if vectors is not None:
        assert request.embeddings is not None
        beginning = match_pretrained(request.embeddings, vectors, vocabulary, prepared.seen_counts)
        record = {**prepared.record, "embeddings": beginning.record}
        prepared = dataclasses.replace(prepared, beginning=beginning, record=record)
    facts = Facts(
        len(prepared.train_ids),
        vocabulary.size,
        not device.startswith("cpu"),
        prepared.record["train_documents"],
        prepared.longest_document,
    )
    model_config, train_config = resolve(settings, facts)
    if problems := check_used(request.flags, model_config, train_config):
        raise UsageError("; ".join(problems))
    if vectors is not None and model_config.embed_width != vectors.dim:
        name = "--hidden" if model_config.architecture.one_width else "--embed"
        raise UsageError(
            f"--embeddings {request.embeddings} has vectors of {vectors.dim} numbers, where {name} is "
            f"{model_config.embed_width}: give {name} {vectors.dim}"
        )
    symbols = Symbols(vocabulary.size, vocabulary.begin_id, len(prepared.seen_counts), len(prepared.train_ids))
    return new_config(model_config, train_config, symbols, vocabulary, prepared.record), prepared


def _vocabulary_to_learn(request: Request, vectors: Vectors | None) -> VocabularyConfig:
    """The settings of a vocabulary that is learned from the data."""
    kind = request.vocabulary.get("type") or _fitting_type(vectors)
    if request.vocabulary.get("min_count") and kind != "word" and not request.vocab:
        raise UsageError(f"--min-count is for --vocab-type word, not {kind}: leave it out")
    return checked(VocabularyConfig(**{**request.vocabulary, "type": kind}))


def _fitting_type(vectors: Vectors | None) -> str:
    """The type of vocabulary that a user who names none gets: that of the vectors, where there are some.

    Imported vectors, which have no type, are of words.
    """
    if vectors is None:
        return DEFAULT_VOCABULARY
    theirs = vectors.metadata.get("vocabulary_type") or "word"
    return theirs if theirs in VOCABULARY_TYPES else DEFAULT_VOCABULARY


def _with_width(request: Request, vectors: Vectors | None) -> dict[str, Any]:
    """The settings asked for, with the width of the vectors; UsageError when they have no place for these or lack them.

    Where the embedding's width is --hidden, the user must have chosen that.
    """
    settings = request.settings
    if vectors is None:
        if settings.get("freeze"):
            raise UsageError("--freeze keeps the vectors of --embeddings: name them, or leave it out")
        return settings
    if settings.get("input") == "one-hot":
        raise UsageError("--embeddings needs a learned embedding, which --input one-hot does not have: leave one out")
    one_width = ARCHITECTURES[settings.get("model", DEFAULT)].one_width
    return settings if one_width else {"embed": vectors.dim, **settings}
