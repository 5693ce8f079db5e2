"""From what a user asks for to a run's whole configuration and data: a new one, or one to go on with."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from seqtool.embeddings.pretrained import file_sha256, match_pretrained
from seqtool.errors import BusyError, InputError, UsageError
from seqtool.files.writing import refuse_directory, reserved
from seqtool.runs import CHECKPOINT, RunConfig, is_run, new_config, read_config, read_vocabulary
from seqtool.settings.architectures import ARCHITECTURES, DEFAULT
from seqtool.settings.checking import check_used, checked
from seqtool.settings.defaults import Facts, resolve
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.tasks.language.data import TrainingData, held_share, load_vocabulary_or_none, prepare_data
from seqtool.text.vocabulary import load_vocabulary
from seqtool.training.machine import with_machine
from seqtool.training.session import resumed_config
from seqtool.training.world import World, may_restart, restarts
from seqtool.vectors.vectors import Vectors, read_vectors

DEFAULT_VOCABULARY = "bpe"


@dataclasses.dataclass(frozen=True)
class Request:
    """What the user asked for: the data, where the run goes, and the settings that were given."""

    data: list[str]
    weights: list[float]
    output: Path | None
    settings: dict[str, Any]
    vocab: Path | None
    vocab_type: str | None
    vocab_size: int | None
    min_count: int | None
    valid: str | None
    document: str | None
    embeddings: Path | None
    errors: str
    force: bool
    flags: frozenset[str] = frozenset()
    """The settings that the command line itself names, not a --config file."""


@contextmanager
def reserved_run(request: Request, resume: bool, dry_run: bool, world: World) -> Iterator[Path]:
    """Where the run goes: the directory asked for, or a name of its own; nobody else's while the block runs.

    BusyError when another training has the name. With `dry_run` nothing is reserved.
    """
    if request.output is None and may_restart():
        raise UsageError("torchrun --max-restarts needs -o RUN: the name by which a restart finds what was done")
    with ExitStack() as held:
        path = request.output
        if path is None and resume:
            path = _only_run(request)
        if world.main:
            if path is None:
                path = _free_name(request, held, dry_run)
            elif not dry_run:
                held.enter_context(reserved(path))
        yield Path(world.from_main(str(path)))


def _free_name(request: Request, held: ExitStack, dry_run: bool) -> Path:
    """The first automatic name that neither lies there nor is reserved by another training; `held` reserves it."""
    for path in _automatic_names(request):
        if path.exists():
            continue
        if dry_run:
            return path
        with contextlib.suppress(BusyError):
            held.enter_context(reserved(path))
            if not path.exists():  # nor was made just now
                return path
    raise AssertionError("there is always another number")


def plan_run(
    path: Path, request: Request, device: str, resume: bool, dry_run: bool, world: World
) -> tuple[RunConfig, TrainingData, bool]:
    """The whole configuration of the run at `path`, its data, and whether it goes on from a checkpoint.

    `device` is the name that is recorded; with `dry_run` nothing is tried out on the machine, nor refused for what lies
    at the run's place.
    """
    if resume:
        return *_resumed(path, request, device, world), True
    restarted = restarts() > 0 and is_run(path) and (path / CHECKPOINT).is_file()
    if not dry_run and not restarted:
        refuse_directory(path, request.force, request.data)
    run_config, prepared = _begun(request, device, world)
    if dry_run:
        return run_config, prepared, False
    if restarted:  # torchrun has started this command before: go on with what it left, if it is what it began
        left = read_config(path)
        if _as_asked(left, run_config) == run_config:
            return left, prepared, True
        refuse_directory(path, request.force, request.data)
    return with_machine(run_config, device, world), prepared, False


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
    kind = request.vocab_type or _fitting_type(vectors)
    if request.min_count and kind != "word" and not request.vocab:
        raise UsageError(f"--min-count is for --vocab-type word, not {kind}: leave it out")
    return checked(VocabularyConfig(type=kind, size=request.vocab_size or 0, min_count=request.min_count or 0))


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


def _resumed(path: Path, request: Request, device: str, world: World) -> tuple[RunConfig, TrainingData]:
    """A run's configuration, with what may change, and its data read again.

    What was asked is compared with what the run was begun with by value, and files by content, so that the command
    that began it can be given again from anywhere.
    """
    begun = read_config(path)
    vocabulary = read_vocabulary(path, begun)
    record = begun.data
    made = vocabulary.metadata
    _refuse_other(
        {
            "--vocab": request.vocab and load_vocabulary(request.vocab).sha256 != vocabulary.sha256,
            "--vocab-type": request.vocab_type and request.vocab_type != vocabulary.type,
            "--vocab-size": request.vocab_size
            and request.vocab_size not in (made.get("requested_size"), vocabulary.size),
            "--min-count": request.min_count and request.min_count != made.get("min_count"),
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


def _automatic_names(request: Request) -> Iterator[Path]:
    """`runs/NAME-MODEL`, then the same with a number."""
    data, model = request.data[0], request.settings.get("model", ModelConfig.model)
    stem = "stdin" if data == "-" else re.sub(r"[^\w.-]+", "_", Path(data).stem) or "text"
    yield Path("runs") / f"{stem}-{model}"
    for number in itertools.count(2):
        yield Path("runs") / f"{stem}-{model}-{number}"


def _only_run(request: Request) -> Path:
    """The run that --resume goes on with where -o was left to seqtool."""
    found = list(itertools.takewhile(Path.exists, _automatic_names(request)))
    if len(found) == 1:
        return found[0]
    which = f"one of {', '.join(map(str, found))}" if found else "the run to go on with"
    raise UsageError(f"--resume needs -o RUN: {which}")
