"""From what a user asks for to the configuration and data of a task on examples."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Unpack

from seqtool.embeddings.pretrained import match_pretrained, pretrained_message
from seqtool.errors import UsageError
from seqtool.files.writing import provenance
from seqtool.runs.config import VOCABULARY, RunConfig, read_config, read_target_vocabulary, read_vocabulary
from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.checking import check_used, checked
from seqtool.settings.defaults import own_settings
from seqtool.settings.example_defaults import check_meant, model_for, resolve_examples, suited_settings_of
from seqtool.settings.examples import TRANSLATE, ExampleConfig
from seqtool.tasks.examples.asking import check_task, examples_of
from seqtool.tasks.examples.modules import TaskModule, task_module
from seqtool.tasks.examples.prepared import Prepared
from seqtool.tasks.examples.sets import ArrayExamples
from seqtool.tasks.examples.task import ExampleTask
from seqtool.tasks.pairs.task import PairTask
from seqtool.tasks.request import Request
from seqtool.tasks.resuming import other_beginning, other_vocabulary, refuse_other, refuse_other_data, resumed_config
from seqtool.tasks.starting import OF_SEQUENCE, Start, check_freeze, gentle, read_start, request_from
from seqtool.text.vocabulary import load_vocabulary
from seqtool.training.session import Options, Outcome, train_run
from seqtool.training.task import Task
from seqtool.training.world import World
from seqtool.vectors.vectors import Vectors, read_vectors

TOLD = {
    "sha256": ("DATA", "was trained on"),
    "valid_sha256": ("--valid", "validates on"),
    "train_examples": ("DATA and --valid", "was trained on"),
    "valid_examples": ("DATA and --valid", "validates on"),
}
"""The entries of a run's record that must be the same when it goes on."""
SHOWN = ("target", "labels", "several", "horizon", "window", "season", "levels")
"""What --dry-run shows of a task."""


OF_TRAINING = ("class_weight", "best_by", "attention", "encoder", "batch_tokens")
"""Settings of model and training that not every task on examples has."""


def begun(task: str, request: Request, device: str, world: World) -> tuple[RunConfig, Prepared]:
    """A new run's configuration and data."""
    check_meant(request.flags, task)
    if world.size > 1 and "-" in request.data:
        raise UsageError("several processes cannot read one standard input: give a file")
    _refuse_of_language(task, request)
    examples = checked(ExampleConfig(**{**request.examples, "task": task}))
    module = task_module(task)
    _refuse_unmeant(task, module, request)
    best_by = request.settings.get("best_by", "loss")
    if best_by != "loss" and (best_by == "bleu") != (task == TRANSLATE):
        raise UsageError(f"--best-by {best_by}: that is for other tasks, not to {task}; leave it out")
    start = None if request.from_run is None else read_start(request.from_run)
    if start is not None:
        request = request_from(request, start)
    check_freeze(request)
    opened = module.open_data(request, examples)
    model = model_for(task, opened.kind, request.settings)
    vectors = _vectors(request, opened.kind)
    if vectors is not None:
        request = _with_width(request, model, vectors)
    of_language = start is not None and start.of_language and request.settings.get("wide_ngrams") != 0
    suited = {**suited_settings_of(opened.kind, model, of_language), "model": model}
    examples = checked(dataclasses.replace(examples, **own_settings(ExampleConfig, {**suited, **request.examples})))
    settings = {**suited, **request.settings}
    prepared = module.prepare(request, opened, examples, settings, None)
    if start is not None:
        start = _continued(start, task, prepared, module, request)
    if prepared.vocabulary is None and (request.vocab is not None or request.vocabulary):
        raise UsageError("a vocabulary is for text, and no column is text: leave --vocab and --vocab-type out")
    suited |= prepared.suited
    if of_language:
        suited["wide_ngrams"] = prepared.suited["ngrams"]
    model_config, train_config = resolve_examples(
        request.settings, suited, len(prepared.train), not device.startswith("cpu")
    )
    if of_language and "core" in train_config.frozen and model_config.bidirectional:
        raise UsageError("--freeze core: a language model's layers read one way alone; give --one-way")
    if model_config.wide_ngrams and not prepared.shape.pools_text:
        raise UsageError("--wide-ngrams is for classes and numbers that are told of texts: leave it out")
    if vectors is not None:
        prepared = _with_vectors(prepared, request, vectors)
    if start is not None:
        if not start.parts:  # a new head takes the whole rate: by a share of it, little is learned
            train_config = dataclasses.replace(train_config, lr=gentle(request.settings, train_config.lr))
        prepared = dataclasses.replace(prepared, start=start, record={**prepared.record, "from": start.record})
    if problems := check_used(request.flags, model_config, train_config):
        raise UsageError("; ".join(problems))
    config = RunConfig(
        model_config,
        train_config,
        prepared.symbols,
        "" if prepared.vocabulary is None else prepared.vocabulary.sha256,
        prepared.record,
        dict(provenance()),
        prepared.shape,
        prepared.task,
    )
    return config, prepared


def _refuse_of_language(task: str, request: Request) -> None:
    """UsageError for what is asked that only a language model has."""
    of_language_models = {
        "--watch": request.watch is not None,
        "--document": request.document is not None,
        "--grow-vocab": request.grow_vocab,
        "--jsonl-field": bool(request.jsonl_field),
    }
    if flags := [flag for flag, given in of_language_models.items() if given]:
        raise UsageError(f"{flags[0]}: that is for language models, not to {task}; leave it out")
    if any(weight != 1 for weight in request.weights):
        raise UsageError("FILE=N is for language models: weigh examples by a column, --weight COLUMN")


def _refuse_unmeant(task: str, module: TaskModule, request: Request) -> None:
    """UsageError for settings that a task does not use, named by a flag or a file."""
    usual = ExampleConfig()  # what a run's configuration says of settings that nobody chose
    asked = [name for name, value in request.examples.items() if value != getattr(usual, name)]
    asked += [name for name in OF_TRAINING if name in request.flags]
    asked += [name for name in ("pooling", "wide_ngrams") if task == TRANSLATE and name in request.flags]
    if unused := [name for name in asked if name not in ("task", *module.MEANT)]:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in unused)
        raise UsageError(f"{flags}: that is for other tasks, not to {task}; leave it out")


def _continued(start: Start, task: str, prepared: Prepared, module: TaskModule, request: Request) -> Start:
    """What of a run to begin with is taken: all of one that told the same of the same columns, else what knows tokens.

    UsageError where nothing of it would mean the same.
    """
    theirs = start.config.task
    ours = prepared.task
    if task == TRANSLATE:
        if start.config.shape == prepared.shape and module.same_answers(theirs, ours):
            return start
        raise UsageError(
            f"--from {request.from_run}: it does not write these texts for the same; name a run that learned to "
            "translate between the same vocabularies, or train anew"
        )
    told_alike = start.config.shape is not None and theirs["name"] == task and module.same_answers(theirs, ours)
    if told_alike and theirs["columns"] == ours["columns"]:
        return start
    if prepared.vocabulary is None or not start.config.vocabulary_sha256:
        raise UsageError(
            f"--from {request.from_run}: nothing that it learned means the same here, where columns, their values or "
            "labels are others; train anew, or go on with the same data by --resume"
        )
    return dataclasses.replace(start, parts=OF_SEQUENCE)


def _vectors(request: Request, kind: str) -> Vectors | None:
    """The vectors that the embedding begins with; UsageError where no text is read."""
    if request.embeddings is None:
        return None
    if kind != "text":
        raise UsageError(
            f"--embeddings {request.embeddings}: they are of a text's tokens, and there is no text; leave it out"
        )
    return read_vectors(request.embeddings)


def _with_width(request: Request, model: str, vectors: Vectors) -> Request:
    """A request for an embedding as wide as the vectors, in a vocabulary of words unless another is asked for."""
    name = "hidden" if ARCHITECTURES[model].one_width else "embed"
    settings = {name: vectors.dim, **request.settings}
    if settings[name] != vectors.dim:
        raise UsageError(
            f"--embeddings {request.embeddings} has vectors of {vectors.dim} numbers: give --{name} {vectors.dim}"
        )
    return dataclasses.replace(request, settings=settings, vocabulary={"type": "word", **request.vocabulary})


def _with_vectors(prepared: Prepared, request: Request, vectors: Vectors) -> Prepared:
    """The examples, with what of their vocabulary has a vector."""
    assert request.embeddings is not None
    assert prepared.vocabulary is not None
    assert isinstance(prepared.train, ArrayExamples)
    counts = prepared.train.symbol_counts(prepared.vocabulary.size)
    beginning = match_pretrained(request.embeddings, vectors, prepared.vocabulary, counts)
    record = {**prepared.record, "embeddings": beginning.record}
    told = [*prepared.told, pretrained_message(beginning.record)]
    return dataclasses.replace(prepared, beginning=beginning, record=record, told=told)


def again(path: Path, request: Request, device: str, world: World) -> tuple[RunConfig, Prepared]:
    """A run's configuration, with what may change, and its data read again."""
    kept = read_config(path)
    task = kept.task["name"]
    _refuse_of_language(task, request)
    config = resumed_config(kept, {**request.settings, "device": device}, request.flags)
    if problems := check_used(request.flags, config.model, config.training):
        raise UsageError("; ".join(problems))
    check_task(kept, str(path))
    begun_with = examples_of(kept, str(path))
    if task == TRANSLATE and not kept.task["column"]:  # files, which are the same by their content, not by their names
        begun_with = dataclasses.replace(begun_with, target=request.examples.get("target", begun_with.target))
    other = [name for name, value in request.examples.items() if value != getattr(begun_with, name)]
    if other:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in other)
        raise UsageError(f"--resume goes on with the run's own settings, and {flags} says another: leave it out")
    refuse_other({**_other_vocabularies(path, request, kept, begun_with), **other_beginning(request, kept.data)})
    own = path / VOCABULARY if kept.vocabulary_sha256 else None
    request = dataclasses.replace(request, run=path, vocab=own, vocabulary={}, embeddings=None, from_run=None)
    module = task_module(task)
    if request.valid is None:
        request = dataclasses.replace(request, valid=kept.data.get("valid_path", kept.data.get("valid")))
    opened = module.open_data(request, begun_with)
    settings = {**dataclasses.asdict(kept.model), **dataclasses.asdict(kept.training)}
    prepared = module.prepare(request, opened, begun_with, settings, kept)
    refuse_other_data(path, config, prepared.record, TOLD)
    return config, prepared


def _other_vocabularies(path: Path, request: Request, kept: RunConfig, begun_with: ExampleConfig) -> dict[str, object]:
    """Which flags ask for other vocabularies than a run has; InputError where those that it has are not its own."""
    source = read_vocabulary(path, kept) if kept.vocabulary_sha256 else None
    target = read_target_vocabulary(path, kept)
    sides = ((source, begun_with.source_type), (target, begun_with.target_type))
    own = [vocabulary for vocabulary, _ in sides if vocabulary is not None]
    usual = [vocabulary for vocabulary, kind in sides if vocabulary is not None and kind == "auto"]
    of_type = {name: value for name, value in request.vocabulary.items() if name == "type"}
    return {
        "--vocab": request.vocab and {load_vocabulary(request.vocab).sha256} != {one.sha256 for one in own},
        **other_vocabulary(request.vocabulary, own),
        **other_vocabulary(of_type, usual or own),
    }


def task_of(config: RunConfig, data: Prepared, world: World) -> Task:
    """What is trained: a model that answers with numbers, or one that writes texts."""
    assert config.shape is not None
    return PairTask(config, data) if config.shape.target_symbols else ExampleTask(config, data)


def train(path: Path, config: RunConfig, data: Prepared, world: World, **options: Unpack[Options]) -> Outcome:
    """Train, and keep the result in the run directory `path`."""
    return train_run(path, task_of(config, data, world), world=world, **options)


def beside(config: RunConfig, data: Prepared, seconds: float) -> dict[str, Any]:
    """Nothing: seqtool eval has a baseline for each task, on other data."""
    return {}


def notes(data: Prepared) -> list[str]:
    """What was found in the data."""
    return data.told


def about(config: RunConfig) -> str:
    """How many examples there are."""
    data = config.data
    held = f" ({data['valid_share']:.2g} of all)" if "valid_share" in data else ""
    return f"{data['train_examples']:,} examples to learn from, {data['valid_examples']:,} to validate{held}"


def units(config: RunConfig) -> tuple[str, str]:
    """What the task's module says."""
    return task_module(config.task["name"]).UNITS


def planned(config: RunConfig) -> dict[str, Any]:
    """The task, its target and labels, what is read, and how many examples there are."""
    task = config.task
    told: dict[str, Any] = {name: task[name] for name in SHOWN if name in task}
    columns: dict[str, Any] = {
        kind: [column if isinstance(column, str) else column[0] for column in columns]
        for kind, columns in task.get("columns", {}).items()
    }
    return {
        "task": task["name"],
        **told,
        **({"columns": columns} if columns else {}),
        **{name: config.data[name] for name in ("train_examples", "valid_examples")},
    }
