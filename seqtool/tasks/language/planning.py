"""From what a user asks for to a language model's whole configuration and its text."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Unpack

from seqtool.embeddings.pretrained import match_pretrained, pretrained_message
from seqtool.errors import UsageError
from seqtool.runs.config import RunConfig, new_config
from seqtool.settings.architectures import ARCHITECTURES, DEFAULT, learning
from seqtool.settings.checking import check_used, checked
from seqtool.settings.defaults import Facts, resolve
from seqtool.settings.examples import LANGUAGE
from seqtool.settings.model import Symbols
from seqtool.settings.training import TrainConfig
from seqtool.settings.vocabulary import VOCABULARY_TYPES, VocabularyConfig
from seqtool.tasks.language.baseline import ngram_baseline
from seqtool.tasks.language.data import TrainingData, load_vocabulary_or_none, prepare_data, with_seen
from seqtool.tasks.language.old_text import old_text, with_old_text
from seqtool.tasks.language.resuming import resumed_run
from seqtool.tasks.language.task import LanguageTask
from seqtool.tasks.request import Request
from seqtool.tasks.starting import Start, check_freeze, gentle, read_start, request_from
from seqtool.text.growing import spelled_before
from seqtool.training.session import Options, Outcome, train_run
from seqtool.training.world import World
from seqtool.vectors.vectors import Vectors, read_vectors

DEFAULT_VOCABULARY = VocabularyConfig.type
OF_EXAMPLES = (
    "bidirectional", "pooling", "wide_ngrams", "class_weight", "best_by", "attention", "encoder", "batch_tokens"
)  # fmt: skip
"""Settings that a language model has not."""
VALID_TOKENS = 32_768
VALID_TOKENS_FAST = 262_144


def begun(task: str, request: Request, device: str, world: World) -> tuple[RunConfig, TrainingData]:
    """A new run's configuration and data."""
    if unused := [name for name in OF_EXAMPLES if name in request.flags]:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in unused)
        raise UsageError(f"{flags}: that is for tasks on examples, not for a language model; leave it out")
    start = None if request.from_run is None else read_start(request.from_run)
    if start is not None:
        if start.config.shape is not None:
            raise UsageError(f"--from {request.from_run} is no language model: it cannot go on as one")
        request = request_from(request, start)
    if request.grow_vocab and (start is None or start.config.model.input == "one-hot"):
        mend = "name a run" if start is None else f"{request.from_run} has one-hot input, without rows; leave it out"
        raise UsageError(f"--grow-vocab adds rows to the embedding of --from RUN: {mend}")
    check_freeze(request)
    vectors = None if request.embeddings is None else read_vectors(request.embeddings)
    settings = _with_width(request, vectors)
    kind = vocabulary_to_learn(request, vectors)
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
        watch=request.watch,
        grow=request.grow_vocab,
        field=request.jsonl_field,
        world=world,
    )
    vocabulary = prepared.vocabulary
    if start is not None:
        prepared = _with_start(prepared, start, request)
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
    if LANGUAGE not in model_config.architecture.tasks:
        able = ", ".join(learning(LANGUAGE))
        raise UsageError(f"--model {model_config.model} does not predict text: choose from {able}")
    if start is not None:
        train_config = dataclasses.replace(train_config, lr=gentle(settings, train_config.lr))
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


def _with_start(prepared: TrainingData, start: Start, request: Request) -> TrainingData:
    """The data of a run that begins with another's weights, and the text that this one was validated on."""
    theirs = start.tensors["head.seen_ids"].tolist()
    also = sorted(set(theirs).difference(prepared.seen_counts))
    vocabulary, before = prepared.vocabulary, load_vocabulary_or_none(request.vocab)
    assert before is not None
    grown = vocabulary.size - before.size if request.grow_vocab else None
    record = {**prepared.record, "from": {**start.record, "grown": grown}, "also_seen": also}
    if grown:
        if vocabulary.type == "word" and "embedding" in str(request.settings.get("freeze", "")).split(","):
            raise UsageError(
                "--freeze embedding would keep each of the words that --grow-vocab adds as <unk> is: leave one of them "
                "out"
            )
        start = dataclasses.replace(start, spelled=spelled_before(vocabulary, before))
    prepared = dataclasses.replace(prepared, start=start, record=record, seen_counts=with_seen(prepared, also))
    if request.watch is not None:
        return prepared
    old = old_text(str(request.from_run), start.config.data, before, request.errors)
    return with_old_text(prepared, old)


def vocabulary_to_learn(request: Request, vectors: Vectors | None) -> VocabularyConfig:
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


def again(path: Path, request: Request, device: str, world: World) -> tuple[RunConfig, TrainingData]:
    """A run's configuration, with what may change, and its text read again."""
    return resumed_run(path, request, device, world)


def task_of(config: RunConfig, data: TrainingData, world: World) -> LanguageTask:
    """The model to be trained on its text, validated on as much of it as takes little time."""
    return LanguageTask(config, data, _valid_tokens(str(world.device)))


def _valid_tokens(device: str) -> int:
    return VALID_TOKENS if device.startswith("cpu") else VALID_TOKENS_FAST


def train(path: Path, config: RunConfig, data: TrainingData, world: World, **options: Unpack[Options]) -> Outcome:
    """Train, and keep the result in the run directory `path`."""
    return train_run(path, task_of(config, data, world), world=world, **options)


def beside(config: RunConfig, data: TrainingData, seconds: float) -> dict[str, Any]:
    """What n-grams alone make of the validation text, where counting them takes little of the training's time."""
    found = ngram_baseline(data, _valid_tokens(config.training.device), seconds)
    return {} if found is None else {"ngram_order": found.order, "ngram_nats_per_token": found.loss}


def notes(data: TrainingData) -> list[str]:
    """How much of the text begins with given vectors, and what a vocabulary knows of unknowns."""
    told = [] if data.beginning is None else [pretrained_message(data.beginning.record)]
    if data.start is not None and (added := len(data.start.spelled)):
        told.append(f"the vocabulary gains {added:,} tokens, each of which begins as the mean of what stood for it")
    return [*told, *filter(None, (data.about_unknown, data.about_old))]


def _with_width(request: Request, vectors: Vectors | None) -> dict[str, Any]:
    """The settings asked for, with the width of the vectors; UsageError when they have no place for these or lack them.

    Where the embedding's width is --hidden, the user must have chosen that.
    """
    settings = request.settings
    if vectors is None:
        return settings
    if settings.get("input") == "one-hot":
        raise UsageError("--embeddings needs a learned embedding, which --input one-hot does not have: leave one out")
    one_width = ARCHITECTURES[settings.get("model", DEFAULT)].one_width
    return settings if one_width else {"embed": vectors.dim, **settings}


def about(config: RunConfig) -> str:
    """How many symbols and tokens there are."""
    return (
        f"{config.symbols.size:,} symbols; {config.data['train_tokens']:,} tokens to train on, "
        f"{config.data['valid_tokens']:,} to validate{_held_back(config)}"
    )


def _held_back(config: RunConfig) -> str:
    """Which part of the data is held back for validation, in parentheses; empty with a validation file."""
    held = config.data.get("held_back")
    if not isinstance(held, dict):
        return ""
    parts = []
    if held["ends"]:
        of = "it" if held["files"] == 1 else f"each of {held['ends']:,} files"
        parts.append(f"the last {held['share']:.2g} of {of}")
    if held["whole"]:
        parts.append(f"{held['whole']:,} of {held['files'] - held['ends']:,} small files, spread over all")
    return f" ({' and '.join(parts)})"


def units(config: RunConfig) -> tuple[str, str]:
    """A token, and nats."""
    return "token", "nats"


def planned(config: RunConfig) -> dict[str, Any]:
    """The vocabulary, the tokens, and the memory of a batch's logits."""
    training = config.training
    return {
        "vocab_size": config.symbols.size,
        **{name: config.data[name] for name in ("train_tokens", "valid_tokens")},
        "logits_bytes": 2 * 4 * training.batch_size // training.accumulate * training.bptt * config.symbols.size,
    }
