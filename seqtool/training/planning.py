"""From what a user asks for to a run's whole configuration and data: a new one, or one to go on with."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

from seqtool.checking import checked
from seqtool.config import VOCABULARY_TYPES, ModelConfig, Symbols, TrainConfig, VocabularyConfig
from seqtool.defaults import Facts, resolve
from seqtool.embeddings.into_model import file_sha256, read_beginning
from seqtool.embeddings.vectors import Vectors, read_vectors
from seqtool.errors import InputError, UsageError
from seqtool.files import refuse_directory
from seqtool.runs import CHECKPOINT, RunConfig, is_run, new_config, read_config, read_vocabulary
from seqtool.training.data import TrainingData, load_vocabulary_or_none, prepare_data
from seqtool.training.machine import with_machine
from seqtool.training.session import resumed_config
from seqtool.training.world import World, may_restart, restarts

DEFAULT_VOCABULARY = "bpe"


@dataclasses.dataclass(frozen=True)
class Request:
    """What the user asked for: the data, where the run goes, and the settings that were given."""

    data: list[str]
    output: Path | None
    settings: dict[str, Any]
    vocab: Path | None
    vocab_type: str | None
    vocab_size: int | None
    valid: str | None
    document: str | None
    embeddings: Path | None
    errors: str
    force: bool


def plan_run(
    request: Request, device: str, resume: bool, dry_run: bool, world: World
) -> tuple[Path, RunConfig, TrainingData, bool]:
    """Where the run goes, its whole configuration, its data, and whether it goes on from a checkpoint.

    `device` is the name that is recorded; with `dry_run` nothing is tried out on the machine, nor refused for what lies
    at the run's place.
    """
    if resume:
        assert request.output is not None
        return request.output, *_resumed(request.output, request, device, world), True
    if request.output is None and may_restart():
        raise UsageError("torchrun --max-restarts needs -o RUN: the name by which a restart finds what was done")
    model_name = request.settings.get("model", ModelConfig.model)
    path = Path(world.from_main(str(request.output or _free_name(request.data[0], model_name))))
    restarted = restarts() > 0 and is_run(path) and (path / CHECKPOINT).is_file()
    if not dry_run and not restarted:
        refuse_directory(path, request.force, request.data)
    run_config, prepared = _begun(request, device, world)
    if dry_run:
        return path, run_config, prepared, False
    if restarted:  # torchrun has started this command before: go on with what it left, if it is what it began
        left = read_config(path)
        if _as_asked(left, run_config) == run_config:
            return path, left, prepared, True
        refuse_directory(path, request.force, request.data)
    return path, with_machine(run_config, prepared, device, world), prepared, False


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
    kind = VocabularyConfig(type=request.vocab_type or _fitting_type(vectors), size=request.vocab_size or 0)
    prepared = prepare_data(
        request.data,
        vocabulary=load_vocabulary_or_none(request.vocab),
        vocabulary_config=checked(kind),
        valid=request.valid,
        errors=request.errors,
        document=request.document or "file",
        seed=request.settings.get("seed", TrainConfig.seed),
        subword_sampling=request.settings.get("subword_sampling", TrainConfig.subword_sampling),
        world=world,
    )
    vocabulary = prepared.vocabulary
    if vectors is not None:
        assert request.embeddings is not None
        beginning = read_beginning(request.embeddings, vectors, vocabulary, prepared.seen_counts)
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
    if vectors is not None and model_config.embed_width != vectors.dim:
        name = "--hidden" if model_config.model == "transformer" else "--embed"
        raise UsageError(
            f"--embeddings {request.embeddings} has vectors of {vectors.dim} numbers, where {name} is "
            f"{model_config.embed_width}: give {name} {vectors.dim}"
        )
    symbols = Symbols(vocabulary.size, vocabulary.begin_id, len(prepared.seen_counts), len(prepared.train_ids))
    return new_config(model_config, train_config, symbols, vocabulary, prepared.record), prepared


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

    A transformer's width is its --hidden, which the user must have chosen.
    """
    settings = request.settings
    if vectors is None:
        if settings.get("freeze"):
            raise UsageError("--freeze keeps the vectors of --embeddings: name them, or leave it out")
        return settings
    if settings.get("input") == "one-hot":
        raise UsageError("--embeddings needs a learned embedding, which --input one-hot does not have: leave one out")
    return settings if settings.get("model") == "transformer" else {"embed": vectors.dim, **settings}


def _resumed(path: Path, request: Request, device: str, world: World) -> tuple[RunConfig, TrainingData]:
    """A run's configuration, with what may change, and its data read again."""
    run_config = read_config(path)
    record = run_config.data
    for flag, asked, known in (
        ("--vocab", request.vocab, None),
        ("--vocab-type", request.vocab_type, None),
        ("--vocab-size", request.vocab_size, None),
        ("--valid", request.valid, record.get("valid")),
        ("--document", request.document, record.get("document", "file")),
    ):
        if asked is not None and asked != known:
            raise UsageError(f"--resume goes on with the run's own data and vocabulary: leave {flag} out")
    if request.embeddings is not None and file_sha256(request.embeddings) != record.get("embeddings", {}).get("sha256"):
        raise UsageError("--resume goes on with the run's own embedding: leave --embeddings out")
    run_config = resumed_config(run_config, {**request.settings, "device": device})
    prepared = prepare_data(
        request.data,
        vocabulary=read_vocabulary(path, run_config),
        vocabulary_config=VocabularyConfig(),
        valid=record.get("valid"),
        errors=request.errors,
        document=str(record.get("document", "file")),
        seed=run_config.training.seed,
        subword_sampling=run_config.training.subword_sampling,
        world=world,
    )
    _check_same_data(path, run_config, prepared)
    return run_config, prepared


def _check_same_data(path: Path, config: RunConfig, prepared: TrainingData) -> None:
    for name in ("sha256", "valid_sha256", "train_tokens", "valid_tokens"):
        if prepared.record.get(name) != config.data.get(name):
            raise InputError(f"{path} was trained on other text ({name} differs): give the same DATA to --resume")


def _free_name(data: str, model: str) -> Path:
    """`runs/NAME-MODEL`, with a number when that is taken."""
    stem = "stdin" if data == "-" else re.sub(r"[^\w.-]+", "_", Path(data).stem) or "text"
    path = Path("runs") / f"{stem}-{model}"
    number = 2
    while path.exists():
        path = Path("runs") / f"{stem}-{model}-{number}"
        number += 1
    return path
