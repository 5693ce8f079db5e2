"""The run directory: what training leaves and everything else starts from. One writer, one loader.

config.json          settings, sizes, hashes of the input and the vocabulary, what made it
vocab.model          the SentencePiece model, where text is read
model.safetensors    the best weights, bound to both by hashes
checkpoint/          state.safetensors: everything needed to go on; none where the model is counted, in one go
metrics.jsonl        a line per logged step and per validation

That of a mixture has a config.json of its own format, vocab.model, and in parts/1, parts/2, … the runs it is made of.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from seqtool.counts.counting import MOST_NGRAMS
from seqtool.counts.model import NgramModel
from seqtool.counts.stored import arrays_of, model_of, numbers_of, shapes_of
from seqtool.errors import InputError, UsageError
from seqtool.files.tensors import TensorFile, open_tensors, write_tensors
from seqtool.files.writing import atomic_writer, canonical_sha256, file_sha256, provenance, read_json, write_json
from seqtool.models.counted import CountedModel
from seqtool.models.example_model import ExampleModel, example_numbers
from seqtool.models.language_model import LanguageModel
from seqtool.models.mixture import Mixture
from seqtool.models.predictor import Predictor
from seqtool.models.size import parameter_count
from seqtool.settings.checking import from_mapping
from seqtool.settings.examples import LANGUAGE, TASKS, ExampleShape, shape_from
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import LENGTHS, MAY_CHANGE, RATE_SETTINGS, TrainConfig
from seqtool.settings.vocabulary import MAX_VOCABULARY, VOCABULARY_TYPES, is_document_break
from seqtool.text.vocabulary import Vocabulary, load_vocabulary

RUN_FORMAT, MIXTURE_FORMAT = "seqtool run 1", "seqtool mixture 1"
CONFIG, VOCABULARY, WEIGHTS, METRICS = "config.json", "vocab.model", "model.safetensors", "metrics.jsonl"
MAX_TOKENS = 10**15
CHECKPOINT = Path("checkpoint") / "state.safetensors"
PARTS = "parts"
MAX_PARTS = 16
WEIGHTS_SUM = 1e-6  # by which weights may miss 1


@dataclass(frozen=True)
class RunConfig:
    """What `config.json` says."""

    model: ModelConfig
    training: TrainConfig
    symbols: Symbols
    vocabulary_sha256: str
    data: dict[str, Any]
    made_by: dict[str, Any]
    shape: ExampleShape | None = None
    """The sizes of a model of examples; None of a language model."""
    task: dict[str, Any] = field(default_factory=lambda: {"name": LANGUAGE})
    """What was learned, by its name in seqtool.tasks, and what that task knows of its data: columns, labels."""
    ngrams: tuple[int, ...] = ()
    """How many n-grams of each order a model has that is counted; empty for others."""

    @property
    def model_sha256(self) -> str:
        """Identifies the architecture that weights belong to."""
        identity: list[Any] = [
            _told(self.model),
            dataclasses.asdict(self.symbols),
            *([self.ngrams] if self.ngrams else []),
        ]
        return canonical_sha256(identity if self.shape is None else [*identity, asdict(self.shape), self.task])

    @property
    def training_sha256(self) -> str:
        """Identifies how and on what is trained: what a checkpoint goes on with, whatever --resume may change."""
        training = _told(self.training)
        fixed = {name: value for name, value in training.items() if name not in (*MAY_CHANGE, *RATE_SETTINGS)}
        return canonical_sha256([fixed, self.data])

    @property
    def name(self) -> str:
        """What kind of model it is."""
        return self.model.model

    @property
    def parameters(self) -> int:
        """Trainable numbers of the model; n-grams of one that is counted."""
        if self.model.architecture.counted:
            return sum(self.ngrams)
        if self.shape is not None:
            return example_numbers(self.model, self.shape)[0]
        return parameter_count(self.model, self.symbols)

    @property
    def numbers(self) -> int:
        """All numbers of its weights' file."""
        if self.model.architecture.counted:
            return numbers_of(self.ngrams)
        if self.shape is not None:
            return example_numbers(self.model, self.shape)[1]
        return self.parameters + self.symbols.seen


@dataclass(frozen=True)
class MixtureConfig:
    """What the `config.json` of a mixture says."""

    weights: tuple[float, ...]
    """Of each part, in order; they sum to 1."""
    parts: tuple[str, ...]
    """The SHA-256 of each part's configuration."""
    models: tuple[str, ...]
    """What kind of model each part is."""
    parameters: int
    """Of all parts together."""
    vocabulary_sha256: str
    data: dict[str, Any]
    """The text that the weights were learned from, and how it falls into documents."""
    made_by: dict[str, Any]
    name: str = "mixture"


NO_TEXT = Symbols(0, 0, 0, 0)
"""The symbols of a run that reads no text."""
ADDED = (
    "output_bias", "softmax", "bidirectional", "pooling", "ngrams", "buckets", "class_weight", "best_by",
    "order", "prune", "wide_ngrams",
)  # fmt: skip
"""Settings that runs made before have not: at their defaults they do not count in a hash."""


def _told(settings: ModelConfig | TrainConfig) -> dict[str, Any]:
    """Settings by name, as they count in a hash."""
    items = dataclasses.fields(settings)
    told = {item.name: getattr(settings, item.name) for item in items}
    return {item.name: told[item.name] for item in items if item.name not in ADDED or told[item.name] != item.default}


RENAMED = {
    "core.embedding": "inputs.embedding",
    "core.embeddings_before": "inputs.embeddings_before",
    "narrow": "head.narrow",
    "output": "head.output",
    "output_bias": "head.bias",
    "seen_ids": "head.seen_ids",
}
"""Where parts of a model lie now whose weights were written before inputs and head were parts of their own."""


def named_now(name: str) -> str:
    """The present name of a weight in a file that may be of then."""
    part = next((part for part in RENAMED if name == part or name.startswith(f"{part}.")), None)
    return name if part is None else RENAMED[part] + name[len(part) :]


@dataclass(frozen=True)
class Run:
    """A run of whatever predicts the next token, which has been loaded and found whole."""

    path: Path
    config: RunConfig | MixtureConfig
    vocabulary: Vocabulary
    model: Predictor


@dataclass(frozen=True)
class ExampleRun:
    """A run of examples that has been loaded and found whole."""

    path: Path
    config: RunConfig
    vocabulary: Vocabulary | None
    model: ExampleModel


def new_config(
    model: ModelConfig, training: TrainConfig, symbols: Symbols, vocabulary: Vocabulary, data: dict[str, Any]
) -> RunConfig:
    """The configuration of a run of a language model that begins now."""
    return RunConfig(model, training, symbols, vocabulary.sha256, data, dict(provenance()))


def write_config(path: Path, config: RunConfig, vocabulary: Vocabulary | None) -> None:
    """Write `vocab.model`, where there is a vocabulary, and `config.json` into the directory `path`."""
    if vocabulary is not None:
        with atomic_writer(path / VOCABULARY) as stream:
            stream.write(vocabulary.model)
    of_examples = {} if config.shape is None else {"shape": asdict(config.shape), "task": config.task}
    of_counts = {"ngrams": config.ngrams} if config.ngrams else {}
    write_json(
        path / CONFIG,
        {
            "format": RUN_FORMAT,
            "model": dataclasses.asdict(config.model),
            "training": dataclasses.asdict(config.training),
            "symbols": dataclasses.asdict(config.symbols),
            "vocabulary_sha256": config.vocabulary_sha256,
            "data": config.data,
            "made_by": config.made_by,
            **of_examples,
            **of_counts,
        },
    )


def is_run(path: Path) -> bool:
    """Whether a path looks like a run directory."""
    return (path / CONFIG).is_file()


def read_config(path: Path) -> RunConfig:
    """Read and check the configuration in the run directory `path`."""
    if not path.exists():
        raise InputError(f"{path} does not exist: name a run directory that seqtool train made")
    if not is_run(path):
        raise InputError(f"{path} is not a run directory (it has no {CONFIG}): name one that seqtool train made")
    file = path / CONFIG
    content = read_json(file)
    if content.get("format") == MIXTURE_FORMAT:
        raise InputError(f"{path} is a mixture of runs: name one of them, such as {path / PARTS / '1'}")
    if content.get("format") != RUN_FORMAT:
        raise InputError(f"{file} is not of the format {RUN_FORMAT!r}: it was made by another version or program")
    try:
        config = RunConfig(
            model=from_mapping(ModelConfig, content["model"], f"{file}: model"),
            training=from_mapping(TrainConfig, content["training"], f"{file}: training"),
            symbols=Symbols(**content["symbols"]),
            vocabulary_sha256=content["vocabulary_sha256"],
            data=content["data"],
            made_by=content["made_by"],
            shape=shape_from(content["shape"], f"{file}: shape") if "shape" in content else None,
            task=content.get("task", {"name": LANGUAGE}),
            ngrams=tuple(content.get("ngrams", ())),
        )
    except KeyError as error:
        raise InputError(f"{file} lacks {error}: it was cut short or edited") from error
    except (TypeError, AttributeError) as error:
        raise InputError(f"{file} holds a value of the wrong kind: it was edited") from error
    symbols = config.symbols
    if not isinstance(config.task, dict) or config.task.get("name") not in TASKS:
        raise InputError(f"{file} names no task of this version of seqtool: it was edited, or is of another version")
    if (config.task["name"] == LANGUAGE) != (config.shape is None):
        raise InputError(f"{file} lacks the sizes of its task: it was edited")
    without_text = symbols == NO_TEXT and config.shape is not None
    if not without_text and not (
        all(type(value) is int for value in dataclasses.astuple(symbols))
        and 0 <= symbols.begin_id < symbols.size <= MAX_VOCABULARY
        and 1 <= symbols.seen <= symbols.size
        and (0 if config.model.architecture.counted else 1) <= symbols.tokens <= MAX_TOKENS
    ):
        raise InputError(f"{file} holds an impossible vocabulary size: it was edited")
    counted, ngrams = config.model.architecture.counted, config.ngrams
    if not all(type(count) is int and 0 <= count <= MOST_NGRAMS for count in ngrams) or (
        not 1 <= config.model.order == len(ngrams) or ngrams[0] != symbols.size if counted else ngrams
    ):
        raise InputError(f"{file} holds an impossible number of n-grams: it was edited")
    if not (
        isinstance(config.data, dict)
        and isinstance(config.made_by, dict)
        and isinstance(config.data.get("valid", ""), str | None)
        and is_document_break(config.data.get("document", "file"))
        and isinstance(config.data.get("embeddings", {}), dict)
        and _are_ids(config.data.get("also_seen", []), symbols.size)
        and _are_shares(config.data.get("held_back"))
    ):
        raise InputError(f"{file} holds a value of the wrong kind: it was edited")
    return config


def can_resume(path: Path) -> bool:
    """Whether there is a run that --resume can go on with, or can find complete."""
    return is_run(path) and ((path / CHECKPOINT).is_file() or bool(read_config(path).ngrams))


def of_examples(path: Path) -> bool:
    """Whether a path is a run that learned from examples."""
    return is_run(path) and not is_mixture(path) and read_config(path).shape is not None


def is_mixture(path: Path) -> bool:
    """Whether a path is a mixture of runs."""
    return is_run(path) and read_json(path / CONFIG).get("format") == MIXTURE_FORMAT


def part_of(path: Path, number: int) -> Path:
    """Where a mixture has the run that it counts as `number`, from 0 on."""
    return path / PARTS / str(number + 1)


def config_sha256(path: Path) -> str:
    """What identifies a run: the SHA-256 of its configuration, which its weights are bound to."""
    return file_sha256(path / CONFIG)


def write_mixture(path: Path, config: MixtureConfig, vocabulary: Vocabulary) -> None:
    """Write what a mixture has beside its parts into the directory `path`."""
    with atomic_writer(path / VOCABULARY) as stream:
        stream.write(vocabulary.model)
    told = {name: value for name, value in asdict(config).items() if name != "name"}
    write_json(path / CONFIG, {"format": MIXTURE_FORMAT, **told})


def read_mixture(path: Path) -> MixtureConfig:
    """Read and check the configuration of a mixture; InputError when it is not what `write_mixture` leaves."""
    file = path / CONFIG
    content = read_json(file)
    try:
        config = MixtureConfig(
            weights=tuple(content["weights"]),
            parts=tuple(content["parts"]),
            models=tuple(content["models"]),
            parameters=content["parameters"],
            vocabulary_sha256=content["vocabulary_sha256"],
            data=content["data"],
            made_by=content["made_by"],
        )
    except KeyError as error:
        raise InputError(f"{file} lacks {error}: it was cut short or edited") from error
    except TypeError as error:
        raise InputError(f"{file} holds a value of the wrong kind: it was edited") from error
    if not (
        1 <= len(config.weights) == len(config.parts) == len(config.models) <= MAX_PARTS
        and all(type(weight) is float and 0 <= weight <= 1 for weight in config.weights)
        and abs(sum(config.weights) - 1) <= WEIGHTS_SUM
        and all(isinstance(name, str) for name in (*config.parts, *config.models))
        and type(config.parameters) is int
        and isinstance(config.data, dict)
        and is_document_break(config.data.get("document", "file"))
        and isinstance(config.made_by, dict)
    ):
        raise InputError(f"{file} holds impossible weights or parts: it was edited")
    return config


def _load_mixture(path: Path, device: torch.device) -> Run:
    config = read_mixture(path)
    runs = [load_part(part_of(path, number), device) for number in range(len(config.parts))]
    for run, expected in zip(runs, config.parts, strict=True):
        if config_sha256(run.path) != expected:
            raise InputError(f"{run.path} is not the run that {path} was made of: put that back, or mix again")
        if run.config.vocabulary_sha256 != config.vocabulary_sha256:
            raise InputError(f"{run.path} has another vocabulary than {path}: it was edited; mix again")
    vocabulary = load_vocabulary(path / VOCABULARY)
    if vocabulary.sha256 != config.vocabulary_sha256:
        raise InputError(f"{path / VOCABULARY} is not the vocabulary of this mixture: put its own back, or mix again")
    return Run(path, config, vocabulary, Mixture([run.model for run in runs], config.weights))


def load_part(path: Path, device: torch.device) -> Run:
    """Load a run for a mixture, of which none is a mixture itself; InputError as `load_run` has it."""
    if is_mixture(path):
        raise InputError(f"{path} is a mixture itself: name the runs it is made of, {path / PARTS / '1'} and so on")
    return load_run(path, device)


def _are_ids(value: Any, size: int) -> bool:
    """Whether a value is a list of ids of a vocabulary."""
    return isinstance(value, list) and all(type(index) is int and 0 <= index < size for index in value)


def _are_shares(value: Any) -> bool:
    """Whether a value says which part of how many files is held back; or there is none."""
    names = ("share", "files", "ends", "whole")
    return value is None or (isinstance(value, dict) and all(type(value.get(name)) in (int, float) for name in names))


def settings_of_run(file: Path) -> dict[str, Any]:
    """What a run's `config.json` was trained with, as a --config file would say it, and its vocabulary: to repeat it.

    The device is not among it, nor what follows from the model.
    """
    if file.name != CONFIG:
        raise InputError(f"{file} is no run's {CONFIG}: name that, a recipe, or a TOML file")
    config = read_config(file.parent)
    settings = {**dataclasses.asdict(config.model), **dataclasses.asdict(config.training)}
    left_out = {"device", *(name for name in LENGTHS if not settings[name])}
    left_out |= {name for name in ("eval_every", "checkpoint_every") if not settings[name]}
    if not config.model.architecture.carries_state:
        left_out |= {"stateful", "bptt"}
    valid = config.data.get("valid_path", config.data.get("valid"))
    data = {"vocab": file.with_name(VOCABULARY), "valid": valid}
    if "embeddings" in config.data:
        data["embeddings"] = Path(str(config.data["embeddings"].get("name")))
    if "weights" in config.data:
        data["weights"] = config.data["weights"]
    if config.shape is not None:
        if not config.vocabulary_sha256:
            del data["vocab"]
        data |= {name: value for name, value in config.data["examples"].items() if value}
        return {name: value for name, value in settings.items() if name not in left_out} | data
    kind = read_vocabulary(file.parent, config).type
    if kind in VOCABULARY_TYPES:
        data["vocab_type"] = kind  # of one that is learned anew, where a flag asks for that
    if (document := config.data.get("document", "file")) != "file":
        data["document"] = document
    return {name: value for name, value in settings.items() if name not in left_out} | data


def read_vocabulary(path: Path, config: RunConfig) -> Vocabulary:
    """Read the vocabulary of the run directory `path`; InputError when it is another one."""
    vocabulary = load_vocabulary(path / VOCABULARY)
    if vocabulary.sha256 != config.vocabulary_sha256:
        raise InputError(f"{path / VOCABULARY} is not the vocabulary of this run: put its own back, or train again")
    if vocabulary.size != config.symbols.size or vocabulary.begin_id != config.symbols.begin_id:
        raise InputError(f"{path / CONFIG} does not fit {path / VOCABULARY}: it was edited")
    return vocabulary


def load_run(path: Path, device: torch.device) -> Run:
    """Load a language model: InputError, naming the file, when a part is missing, cut short, edited, or another's."""
    if is_mixture(path):
        return _load_mixture(path, device)
    config = read_config(path)
    if config.shape is not None:
        raise InputError(
            f"{path} is no language model: it learned to {config.task['name']}; ask it with seqtool predict"
        )
    vocabulary = read_vocabulary(path, config)
    if config.model.architecture.counted:
        return Run(path, config, vocabulary, CountedModel(read_counts(path / WEIGHTS, config)))
    tensors = read_weights(path / WEIGHTS, config)
    model = LanguageModel(config.model, config.symbols)
    load_tensors(model, tensors, path / WEIGHTS)
    return Run(path, config, vocabulary, model.to(device).eval())


def load_example_run(path: Path, device: torch.device) -> ExampleRun:
    """Load a run of examples; InputError as `load_run` has it."""
    config = read_config(path)
    if config.shape is None:
        raise InputError(f"{path} is a language model: score text with seqtool eval, write some with seqtool generate")
    vocabulary = None if config.symbols == NO_TEXT else read_vocabulary(path, config)
    tensors = read_weights(path / WEIGHTS, config)
    model = ExampleModel(config.model, config.shape)
    load_tensors(model, tensors, path / WEIGHTS)
    return ExampleRun(path, config, vocabulary, model.to(device).eval())


def write_weights(path: Path, tensors: Mapping[str, Tensor | npt.NDArray[Any]], config: RunConfig) -> None:
    """Write a model's state, atomically, bound by hashes to the configuration, the vocabulary and its own values."""
    metadata = {
        "format": "seqtool weights 2",
        "model_sha256": config.model_sha256,
        "vocabulary_sha256": config.vocabulary_sha256,
    }
    write_tensors(path, tensors, metadata)


def write_counts(folder: Path, config: RunConfig, vocabulary: Vocabulary, model: NgramModel) -> None:
    """Write a run that is counted into the directory `folder`."""
    write_config(folder, config, vocabulary)
    write_weights(folder / WEIGHTS, arrays_of(model), config)


def read_weights(file: Path, config: RunConfig) -> dict[str, Tensor]:
    """Read weights and compare hashes; no memory is taken unless the file is as large as it should be."""
    if config.model.architecture.counted:
        raise InputError(
            f"{file.parent} has no weights but counts of n-grams: name a run that was trained by gradients"
        )
    _check_there(file)
    try:
        expected = config.numbers
    except UsageError as error:
        raise InputError(f"{file.with_name(CONFIG)}: {error}") from error
    tensors, metadata = read_tensors(file, expected, expected)
    tensors = {named_now(name): tensor for name, tensor in tensors.items()}
    _check_owner(file, metadata, config)
    if config.shape is not None:
        return tensors
    seen_ids = tensors.get("head.seen_ids")
    if (
        seen_ids is None
        or seen_ids.dtype != torch.int64
        or not bool(((seen_ids >= 0) & (seen_ids < config.symbols.size)).all())
    ):
        raise InputError(f"{file} names symbols that its vocabulary lacks: it was edited")
    return tensors


def read_counts(file: Path, config: RunConfig) -> NgramModel:
    """Map the n-grams of a run; InputError as `read_weights` has it."""
    _check_there(file)
    with open_tensors(file) as content:
        _check_numbers(content, config.numbers, config.numbers)
        if {entry.name: (entry.dtype, entry.shape) for entry in content.entries} != shapes_of(config.ngrams):
            raise InputError(f"{file} does not fit {CONFIG}: it belongs to another run or was edited")
        arrays = content.arrays()
        _check_owner(file, content.metadata, config)
    try:
        return model_of(arrays, len(config.ngrams), config.symbols.begin_id)
    except ValueError as error:
        raise InputError(f"{file} holds {error}: it was edited") from error


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Put tensors read from `file` into a model; InputError when names, shapes or types differ."""
    try:
        own = model.state_dict()
        if any(tensor.dtype != own[name].dtype for name, tensor in tensors.items() if name in own):
            raise RuntimeError("tensors of other types")
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{file} does not fit {CONFIG}: it belongs to another run or was edited") from error


def read_tensors(file: Path, least: int, most: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and metadata of a file that holds between `least` and `most` numbers in all."""
    with open_tensors(file) as content:
        _check_numbers(content, least, most)
        return content.tensors(), content.metadata


def _check_there(file: Path) -> None:
    if not file.is_file():
        raise InputError(f"{file.parent} has no {WEIGHTS}: its training did not get that far; train again")


def _check_numbers(content: TensorFile, least: int, most: int) -> None:
    if not least <= content.numbers <= most:
        raise InputError(
            f"{content.path} holds {content.numbers:,} numbers, where {CONFIG} says {least:,}: "
            "it belongs to another run or one of them was edited"
        )


def _check_owner(file: Path, metadata: Mapping[str, Any], config: RunConfig) -> None:
    """InputError when a weights' file was written for another configuration or vocabulary."""
    if metadata.get("model_sha256") != config.model_sha256:
        raise InputError(f"{file} belongs to another configuration: {CONFIG} or the weights were edited or exchanged")
    if metadata.get("vocabulary_sha256") != config.vocabulary_sha256:
        raise InputError(f"{file} belongs to another vocabulary: a part of another run was put here")
