"""From the options of `seqtool train` and its --config to a request, and what is wrong whatever the text is."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqtool.cli.options import chosen, document_break, refuse_unused, size_in_bytes
from seqtool.errors import UsageError
from seqtool.settings.architectures import ARCHITECTURES, DEFAULT, having
from seqtool.settings.checking import DATA_SETTINGS, check_given, settings_from_file
from seqtool.settings.examples import ExampleConfig
from seqtool.settings.layouts import with_layout
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import LENGTHS, TrainConfig
from seqtool.settings.vocabulary import ERROR_HANDLERS, LEARNED_BY

if TYPE_CHECKING:
    from seqtool.tasks.request import Request


def training_request(
    data: list[str],
    settings: dict[str, Any],
    config: str | None,
    *,
    output: Path | None,
    vocab: Path | None,
    vocab_type: str | None,
    vocab_size: int | None,
    valid: str | None,
    document: str | None,
    embeddings: Path | None,
    from_run: Path | None,
    grow_vocab: bool,
    watch: str | None,
    memory: str | None,
    jsonl_field: str,
    errors: str,
    force: bool,
) -> Request:
    """The request that options and --config make; UsageError for what is wrong whatever the text is."""
    vocabulary = _vocabulary_settings(settings, vocab_type, vocab_size)
    examples = {name: settings[name] for name in EXAMPLE_SETTINGS if name in settings}
    settings = {n: value for n, value in settings.items() if n not in VOCABULARY_SETTINGS and n not in examples}
    resolved, of_data, learned = _with_file(config, settings, vocab, vocabulary)
    document = document or of_data["document"]
    _check_early(resolved, vocabulary, errors, document or "file")
    resolved = with_layout(resolved)
    model = resolved.get("model", DEFAULT)
    if memory is not None and not ARCHITECTURES[model].counted:
        raise UsageError(f"--memory is for --model {' or '.join(having('counted'))}, not {model}: leave it out")

    from seqtool.tasks.language.data import parse_weights
    from seqtool.tasks.request import Request

    paths, weights = parse_weights(data)
    _check_weights(config, of_data["weights"], weights)
    is_field_unused = bool(jsonl_field) and watch is None and not (valid and Path(valid).exists())
    of_text = {"--document": document is not None, "--errors": errors != "strict", "--jsonl-field": is_field_unused}
    _check_unused(paths[0], vocab, vocabulary, of_text)
    return Request(
        data=paths,
        weights=weights,
        output=output,
        settings=resolved,
        vocab=vocab or of_data["vocab"],
        vocabulary=learned,
        valid=valid or of_data["valid"],
        document=document,
        embeddings=embeddings or of_data["embeddings"],
        jsonl_field=jsonl_field or of_data["jsonl_field"] or "",
        errors=errors,
        force=force,
        examples=of_data["examples"] | examples,
        from_run=from_run,
        grow_vocab=grow_vocab,
        watch=watch,
        memory=None if memory is None else size_in_bytes(memory, "--memory"),
        flags=frozenset(settings),
    )


EXAMPLE_SETTINGS = tuple(item.name for item in dataclasses.fields(ExampleConfig))
VOCABULARY_SETTINGS = {
    "type": "--vocab-type",
    "size": "--vocab-size",
    "min_count": "--min-count",
    "symbols": "--symbols",
    "split_digits": "--split-digits",
}
"""The settings of VocabularyConfig that this command has, and their flags."""


def _vocabulary_settings(settings: dict[str, Any], vocab_type: str | None, vocab_size: int | None) -> dict[str, Any]:
    """The settings of a vocabulary to learn that flags give, by the names of VocabularyConfig."""
    given = {"type": vocab_type, "size": vocab_size, **settings}
    return {name: given[name] for name in VOCABULARY_SETTINGS if given.get(name) is not None}


def _with_file(
    config: str | None, settings: dict[str, Any], vocab: Path | None, vocabulary: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Three sets of settings: of model and training, of the data in --config, and of a vocabulary to learn.

    Flags override --config, and some override more than their namesake: any length overrides all lengths, and --vocab
    all that describes a vocabulary.
    """
    from_file = _file_settings(config)
    if any(settings.get(name) for name in LENGTHS):
        from_file = {name: value for name, value in from_file.items() if name not in LENGTHS}
    of_data = {name: from_file.pop(name, None) for name in ("vocab", "embeddings", "weights", *DATA_SETTINGS)}
    of_data["examples"] = {name: from_file.pop(name) for name in EXAMPLE_SETTINGS if name in from_file}
    in_file = {
        name: of_data.pop(flag.removeprefix("--").replace("-", "_")) for name, flag in VOCABULARY_SETTINGS.items()
    }
    learned = {name: value for name, value in in_file.items() if value is not None}
    if vocab is not None:
        learned = {}
    elif kind := vocabulary.get("type"):
        learned = {name: value for name, value in learned.items() if kind in LEARNED_BY.get(name, (kind,))}
    if vocab is not None or vocabulary:
        of_data["vocab"] = None
    return from_file | settings, of_data, learned | vocabulary


def _file_settings(config: str | None) -> dict[str, Any]:
    """The settings of --config: a TOML file, a recipe, or a run with its vocabulary."""
    from seqtool.files.writing import read_toml
    from seqtool.settings.defaults import recipe_file

    if config is None:
        return {}
    file = recipe_file(config)
    if file.suffix == ".json":
        from seqtool.runs.config import settings_of_run

        return settings_of_run(file)
    return settings_from_file(read_toml(file), str(file))


NEVER_ZERO = (*LENGTHS, "lr", "eval_every", "checkpoint_every")
"""Settings whose 0 means the default for the text: a user who writes 0 means something else."""


def _check_early(settings: dict[str, Any], vocabulary: dict[str, Any], errors: str, document: str) -> None:
    """UsageError for settings that are wrong whatever the text is, before it is read."""
    chosen(errors, ERROR_HANDLERS, "--errors")
    document_break(document)
    problems = check_given(settings, ModelConfig, TrainConfig)
    zeros = [f"--{name.replace('_', '-')}" for name in NEVER_ZERO if settings.get(name) == 0]
    numbers = {VOCABULARY_SETTINGS[name]: vocabulary[name] for name in ("size", "min_count") if name in vocabulary}
    zeros += [flag for flag, number in numbers.items() if number == 0]
    problems += [f"{flag} {number}: at least 1" for flag, number in numbers.items() if number < 0]
    problems += [f"{name} 0: leave it out, or give more" for name in zeros]
    if problems:
        raise UsageError("; ".join(problems))


def _check_weights(config: str | None, before: list[float] | None, weights: list[float]) -> None:
    """UsageError if the run of --config read its files at other rates than DATA asks for."""
    if before not in (None, weights):
        raise UsageError(f"--config {config}: that run read its files {before} times; give DATA as FILE=N so")


def _check_unused(first: str, vocab: Path | None, vocabulary: dict[str, Any], of_text: dict[str, bool]) -> None:
    """UsageError for flags that have no effect with a given vocabulary, or with a token store as the `first` data."""
    from seqtool.text.store import is_store

    store = is_store(Path(first))
    if vocab is not None or store:
        refuse_unused(
            {flag: name in vocabulary for name, flag in VOCABULARY_SETTINGS.items()},
            f"{vocab or first} has a whole vocabulary; leave that out",
        )
    if store:
        refuse_unused(of_text, f"{first} is encoded already; leave that out")
