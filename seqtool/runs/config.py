"""The run directory: what training leaves and everything else starts from. One writer, one loader.

config.json          settings, sizes, hashes of the input and the vocabulary, what made it
vocab.model          the SentencePiece model, where text is read
target.model         that of what is written, where that has one of its own
model.safetensors    the best weights, bound to both by hashes
checkpoint/          state.safetensors: everything needed to go on; none where the model is counted, in one go
metrics.jsonl        a line per logged step and per validation

That of a mixture has a config.json of its own format, vocab.model, and in parts/1, parts/2, … the runs it is made of.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seqtool.counts.counting import MOST_NGRAMS
from seqtool.counts.stored import numbers_of
from seqtool.errors import InputError
from seqtool.files.writing import atomic_writer, canonical_sha256, file_sha256, provenance, read_json, write_json
from seqtool.models.encoder_decoder import numbers_of as example_numbers
from seqtool.models.size import parameter_count
from seqtool.settings.checking import BEFORE, from_mapping
from seqtool.settings.examples import LANGUAGE, TASKS, ExampleShape, shape_from
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import LENGTHS, MAY_CHANGE, RATE_SETTINGS, TrainConfig
from seqtool.settings.vocabulary import MAX_VOCABULARY, VOCABULARY_TYPES, is_document_break
from seqtool.text.vocabulary import Vocabulary, load_vocabulary

RUN_FORMAT, MIXTURE_FORMAT = "seqtool run 1", "seqtool mixture 1"
TARGET_VOCABULARY = "target.model"
CONFIG, VOCABULARY, WEIGHTS, METRICS = "config.json", "vocab.model", "model.safetensors", "metrics.jsonl"
MAX_TOKENS = 10**15
CHECKPOINT = Path("checkpoint") / "state.safetensors"
PARTS = "parts"


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
        return canonical_sha256(identity if self.shape is None else [*identity, self.shape.told(), self.task])

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


NO_TEXT = Symbols(0, 0, 0, 0)
"""The symbols of a run that reads no text."""
ADDED = (
    "output_bias", "softmax", "bidirectional", "pooling", "ngrams", "buckets", "class_weight", "best_by",
    "order", "prune", "wide_ngrams", "attention", "batch_tokens", "encoder", "mixers", "signed", "convolution",
    "inner", "layout", "norm_epsilon", "rope_base", "biases", "mirrors", "kv_heads",
)  # fmt: skip
"""Settings that runs made before have not: at their defaults they do not count in a hash."""


def _told(settings: ModelConfig | TrainConfig) -> dict[str, Any]:
    """Settings by name, as they count in a hash."""
    items = dataclasses.fields(settings)
    told = {item.name: getattr(settings, item.name) for item in items}
    for name in BEFORE.keys() & told.keys():
        told[name] = next((then for then, now in BEFORE[name].items() if now == told[name]), told[name])
    return {item.name: told[item.name] for item in items if item.name not in ADDED or told[item.name] != item.default}


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
    of_examples = {} if config.shape is None else {"shape": config.shape.told(), "task": config.task}
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
        raise InputError(f"{path} is a mixture of runs: name one of them, such as {part_of(path, 0)}")
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
        and _is_of_text(config.data)
        and isinstance(config.data.get("embeddings", {}), dict)
        and isinstance(config.data.get("watch", ""), str)
        and _is_of_text(config.data.get("old_text", {}))
        and all(map(_is_of_run, [config.data.get("from", {}), *_listed(config.data.get("averaged", []))]))
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


def learned_texts(data: Mapping[str, Any]) -> set[str]:
    """The SHA-256 of what was learned from: by a run of such a record, and by the runs that it was made of."""
    runs = [data.get("from", {}), *data.get("averaged", [])]
    return {
        sha256 for sha256 in (data.get("sha256"), *(one for run in runs for one in run.get("learned", []))) if sha256
    }


def _is_of_text(value: Any) -> bool:
    """Whether a value can be what a run's record says of a text: where it is, and how it is read."""
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name, ""), str) for name in ("name", "sha256", "valid_path", "valid_sha256"))
        and isinstance(value.get("jsonl_field", ""), str)
        and isinstance(value.get("valid"), str | None)
        and all(isinstance(path, str) for path in _listed(value.get("paths", [])))
        and is_document_break(value.get("document", "file"))
    )


def _is_of_run(value: Any) -> bool:
    """Whether a value can be what a run's record says of another, whose weights it has."""
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name, ""), str) for name in ("name", "sha256"))
        and all(isinstance(sha256, str) for sha256 in _listed(value.get("learned", [])))
        and type(value.get("grown")) in (int, type(None))
    )


def _listed(value: Any) -> list[Any]:
    """A list as it is; something that is nowhere allowed in place of all else."""
    return value if isinstance(value, list) else [None]


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
    if config.model.architecture.counted:
        settings = {**config.model.told(), "seed": config.training.seed}
    else:
        settings = {**dataclasses.asdict(config.model), **dataclasses.asdict(config.training)}
    left_out = {"device", *(name for name in LENGTHS if not settings.get(name))}
    left_out |= {name for name in ("eval_every", "checkpoint_every") if not settings.get(name)}
    if not config.model.architecture.carries_state:
        left_out |= {"stateful", "bptt"}
    valid = config.data.get("valid_path", config.data.get("valid"))
    data = {"vocab": file.with_name(VOCABULARY), "valid": valid}
    if "embeddings" in config.data:
        data["embeddings"] = Path(str(config.data["embeddings"].get("name")))
    if "weights" in config.data:
        data["weights"] = config.data["weights"]
    if config.shape is not None:
        if not config.vocabulary_sha256 or config.task.get("target_vocabulary_sha256"):
            del data["vocab"]  # of two vocabularies, both are learned anew
        data |= {name: value for name, value in config.data["examples"].items() if value}
        return {name: value for name, value in settings.items() if name not in left_out} | data
    kind = read_vocabulary(file.parent, config).type
    if kind in VOCABULARY_TYPES:
        data["vocab_type"] = kind  # of one that is learned anew, where a flag asks for that
    if (document := config.data.get("document", "file")) != "file":
        data["document"] = document
    if field := config.data.get("jsonl_field"):
        data["jsonl_field"] = field
    return {name: value for name, value in settings.items() if name not in left_out} | data


def vocabulary_in(path: Path, expected: str, name: str = VOCABULARY) -> Vocabulary:
    """Read the vocabulary in a run's or mixture's directory; InputError when there is none, or another by its hash."""
    if not (path / name).is_file():
        raise InputError(f"{path} has no {name}, a plain file: put its own back, or make it again")
    vocabulary = load_vocabulary(path / name)
    if vocabulary.sha256 != expected:
        raise InputError(f"{path / name} is not the vocabulary of this run: put its own back, or make it again")
    return vocabulary


def read_target_vocabulary(path: Path, config: RunConfig) -> Vocabulary | None:
    """Read the vocabulary of what a run writes, where that has one of its own; InputError when it is another one."""
    expected = config.task.get("target_vocabulary_sha256", "")
    if not expected:
        return None
    assert config.shape is not None
    vocabulary = vocabulary_in(path, expected, TARGET_VOCABULARY)
    if (vocabulary.size, vocabulary.begin_id) != (config.shape.target_symbols, config.shape.target_begin_id):
        raise InputError(f"{path / CONFIG} does not fit {path / TARGET_VOCABULARY}: it was edited")
    return vocabulary


def read_vocabulary(path: Path, config: RunConfig) -> Vocabulary:
    """Read the vocabulary of the run directory `path`; InputError when it is another one."""
    vocabulary = vocabulary_in(path, config.vocabulary_sha256)
    if vocabulary.size != config.symbols.size or vocabulary.begin_id != config.symbols.begin_id:
        raise InputError(f"{path / CONFIG} does not fit {path / VOCABULARY}: it was edited")
    return vocabulary
