"""Every setting: its name, default, choices and limits. Flags, TOML files and help text take them from here.

Frozen dataclasses of plain values; nothing here imports torch. `resolve` turns what a user asked for, which is usually
next to nothing, into complete settings that fit the text and the time there is.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from seqtool.errors import InputError, UsageError

RECURRENT = ("rnn", "gru", "lstm")
MODELS = (*RECURRENT, "ffn", "transformer")
VOCABULARY_TYPES = ("bpe", "unigram", "char", "byte", "word")
DOCUMENT_BREAKS = ("file", "blank-line", "line")
NORMALIZATIONS = ("none", "nfkc")
ERROR_HANDLERS = ("strict", "replace")

MAX_VOCABULARY = 10_000_000
MAX_PARAMETERS = 20_000_000_000  # a configuration beyond this is a mistake or an attack, not a model


def setting(
    default: Any,
    help: str,
    *,
    choices: Sequence[str] = (),
    low: float | None = None,
    high: float | None = None,
    below: float | None = None,
    flag: str = "",
    metavar: str = "",
    shown_default: str = "",
) -> Any:
    """A dataclass field that knows its help text, choices, and closed range `low..high` (or open end `below`)."""
    return field(
        default=default,
        metadata={
            "help": help,
            "choices": tuple(choices),
            "low": low,
            "high": high,
            "below": below,
            "flag": flag,
            "metavar": metavar,
            "shown_default": shown_default,
        },
    )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What is needed to build a model and to read its weights back."""

    model: str = setting("lstm", "Architecture.", choices=MODELS)
    layers: int = setting(1, "Stacked layers.", low=1, high=512, shown_default="by model and time")
    hidden: int = setting(256, "Width of a layer.", low=1, high=65536, shown_default="by model and time")
    embed: int = setting(0, "Width of the embedding (0: --hidden's).", low=0, high=65536, shown_default="by model")
    input: str = setting(
        "learned", "First representation of a token: a learned embedding, or one-hot.", choices=("learned", "one-hot")
    )
    activation: str = setting(
        "tanh", "Activation of rnn and ffn.", choices=("tanh", "relu", "sigmoid"), shown_default="rnn tanh, ffn relu"
    )
    init: str = setting(
        "default",
        "Initial weights: torch's default, Xavier, orthogonal, or the identity with zero biases.",
        choices=("default", "xavier", "orthogonal", "identity"),
        shown_default="by model",
    )
    forget_bias: float = setting(
        0.0, "Initial bias of the LSTM's forget gate (0: as --init leaves it).", low=-100, high=100
    )
    context: int = setting(64, "Tokens that ffn and transformer see.", low=1, high=1 << 20, shown_default="by model")
    heads: int = setting(4, "Attention heads of the transformer.", low=1, high=1024)
    position: str = setting("rope", "How the transformer knows positions.", choices=("learned", "sinusoidal", "rope"))
    stem: int = setting(
        4,
        "A transformer's input is the sum of embeddings of the last so many tokens, a table for each place (1: plain).",
        low=1,
        high=64,
        shown_default="4, or 2 for a large vocabulary",
    )
    norm: str = setting("layer", "Normalisation in the transformer.", choices=("layer", "rms"))
    feedforward: str = setting("relu", "Feed-forward block of the transformer.", choices=("relu", "gelu", "swiglu"))
    tied: bool = setting(False, "Share the embedding with the output layer.", flag="--tied/--untied")
    dropout: float = setting(
        0.0, "Dropout on embeddings, between layers and before the output.", low=0, below=1, shown_default="by the text"
    )

    @property
    def embed_width(self) -> int:
        """Width of the embedding; that of the hidden layers unless set."""
        return self.embed or self.hidden


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How weights are learned: batches, truncation, optimizer, schedule, length, and what is kept."""

    optimizer: str = setting(
        "adamw", "Update rule.", choices=("sgd", "adam", "adamw", "adadelta", "adagrad", "rmsprop")
    )
    lr: float = setting(0.0, "Peak learning rate.", low=0, high=1e6, shown_default="by optimizer and model")
    momentum: float = setting(0.0, "Momentum of sgd and rmsprop.", low=0, below=1, shown_default="0.9 for sgd")
    nesterov: bool = setting(False, "Nesterov's momentum, for sgd.", flag="--nesterov/--no-nesterov")
    beta1: float = setting(0.9, "Decay of the mean gradient, for adam and adamw.", low=0, below=1)
    beta2: float = setting(0.99, "Decay of the mean squared gradient: adam, adamw, adadelta, rmsprop.", low=0, below=1)
    weight_decay: float = setting(
        0.03, "Weight decay (decoupled under adamw).", low=0, high=100, shown_default="by model for adamw, else 0"
    )
    schedule: str = setting("cosine", "How the rate falls.", choices=("constant", "linear", "cosine"))
    warmup: float = setting(0.03, "Linear warm-up: steps, or under 1 a share of the whole.", low=0)
    final_lr: float = setting(0.0, "Last rate of the schedule as a share of --lr.", low=0, high=1)
    batch_size: int = setting(32, "Sequences in a mini-batch.", low=1, high=1 << 20, shown_default="by model and text")
    bptt: int = setting(
        64,
        "Time steps that gradients flow back through (a transformer's is its --context).",
        low=1,
        high=1 << 20,
        shown_default="by model and text",
    )
    stateful: bool = setting(
        True,
        "Carry the hidden state from batch to batch, or start each sequence afresh.",
        flag="--stateful/--stateless",
    )
    clip_norm: float = setting(1.0, "Rescale gradients whose norm is larger (0: never).", low=0, high=1e9)
    clip_value: float = setting(0.0, "Clamp each component of the gradient to +-this (0: never).", low=0, high=1e9)
    steps: int = setting(0, "Train for this many steps.", low=0, shown_default="by text")
    epochs: float = setting(0.0, "Train for this many passes over the text.", low=0, high=1e9)
    time: float = setting(0.0, "Train for this long: 60s, 10m, 2h.", low=0, high=1e9, metavar="DURATION")
    eval_every: int = setting(0, "Steps between validations.", low=0, shown_default="ten in all")
    checkpoint_every: int = setting(
        0, "Steps between checkpoints, from which --resume goes on.", low=0, shown_default="at each validation"
    )
    early_stop: int = setting(
        0, "Stop after this many validations without a better one (0: never).", low=0, shown_default="4"
    )
    seed: int = setting(0, "Fixes everything random.", low=0, high=2**63 - 1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1 or mps.")
    precision: str = setting("auto", "Arithmetic of the matrix products.", choices=("auto", "fp32", "bf16"))


@dataclass(frozen=True, kw_only=True)
class VocabularyConfig:
    """How a vocabulary is learned."""

    type: str = setting("bpe", "Kind of vocabulary.", choices=VOCABULARY_TYPES)
    size: int = setting(0, "Number of entries.", low=0, high=MAX_VOCABULARY, shown_default="by the text")
    normalize: str = setting("none", "Unicode normalisation.", choices=NORMALIZATIONS)
    lowercase: bool = setting(False, "Fold to lower case.", flag="--lowercase/--keep-case")
    min_count: int = setting(1, "word: what is rarer is <unk>.", low=1)


@dataclass(frozen=True, kw_only=True)
class GenerateConfig:
    """How text is sampled from a model."""

    max_tokens: int = setting(500, "Tokens to write at most.", low=0)
    temperature: float = setting(0.8, "Divide logits by this: under 1 is safer, over 1 wilder.", low=0, high=1000)
    top_k: int = setting(0, "Sample from the K likeliest tokens (0: all).", low=0)
    top_p: float = setting(1.0, "Sample from the likeliest tokens that hold this much probability.", low=0, high=1)
    min_p: float = setting(0.0, "Leave out tokens under this share of the likeliest one's probability.", low=0, high=1)
    greedy: bool = setting(False, "Always take the likeliest token.", flag="--greedy")
    seed: int = setting(0, "Fixes the sampling.", low=0, high=2**63 - 1, shown_default="random, and printed")
    batch_size: int = setting(64, "Samples made at once.", low=1, high=1 << 20)


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How text is scored."""

    context: int = setting(0, "Tokens a transformer sees at most.", low=0, shown_default="the model's")
    stride: int = setting(0, "Tokens a transformer's window moves on.", low=0, shown_default="half the context")
    batch_size: int = setting(32, "Windows or documents scored at once.", low=1, high=1 << 20)


Config = TypeVar("Config", ModelConfig, TrainConfig, VocabularyConfig, GenerateConfig, EvalConfig)


@dataclass(frozen=True)
class Symbols:
    """What a model knows of its vocabulary and of the text it learns from."""

    size: int
    begin_id: int
    seen: int
    """How many of the symbols occur in the training text."""
    tokens: int
    """Length of the training text."""


@dataclass(frozen=True)
class Facts:
    """What the defaults depend on: the text and the machine."""

    train_tokens: int
    vocab_size: int
    accelerator: bool


def flag_of(item: dataclasses.Field[Any]) -> str:
    """The command-line flag of a setting, `--batch-size` for `batch_size`."""
    return str(item.metadata["flag"] or "--" + item.name.replace("_", "-"))


def parse_duration(text: str) -> float:
    """Seconds in `60s`, `10m`, `2h`, `1h30m` or a bare number."""
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip())
    seconds = (
        sum(float(part) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True) if part)
        if match
        else 0.0
    )
    if not seconds:
        raise UsageError(f"--time {text!r}: write a duration such as 60s, 10m, 2h or 1h30m")
    return seconds


def check(config: Any) -> list[str]:
    """What is wrong with one dataclass of settings, a phrase for each problem, in the user's words."""
    problems = check_each(config)
    if isinstance(config, ModelConfig):
        problems += _check_model(config)
    if isinstance(config, TrainConfig):
        problems += _check_training(config)
    return problems


def check_each(config: Any) -> list[str]:
    """What is wrong with single settings, whatever the others are."""
    problems = []
    for item in dataclasses.fields(config):
        value, limits, name = getattr(config, item.name), item.metadata, flag_of(item).split("/")[0]
        if limits["choices"] and value not in limits["choices"]:
            problems.append(f"{name} {value!r}: choose from {', '.join(limits['choices'])}")
        elif isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{name} must be a finite number")
        elif limits["low"] is not None and value < limits["low"]:
            problems.append(f"{name} {value}: at least {limits['low']}")
        elif limits["high"] is not None and value > limits["high"]:
            problems.append(f"{name} {value}: at most {limits['high']}")
        elif limits["below"] is not None and value >= limits["below"]:
            problems.append(f"{name} {value}: less than {limits['below']}")
    return problems


def _check_model(config: ModelConfig) -> list[str]:
    problems = []
    if config.model == "transformer":
        if config.hidden % config.heads:
            problems.append(f"--hidden {config.hidden} does not divide by --heads {config.heads}: choose a multiple")
        elif config.position == "rope" and (config.hidden // config.heads) % 2:
            problems.append(f"--position rope needs an even --hidden / --heads, not {config.hidden // config.heads}")
        if config.input == "one-hot":
            problems.append(
                "--input one-hot: a transformer's first product with it is the learned embedding; use learned"
            )
        if config.embed_width != config.hidden:
            problems.append(
                f"--embed {config.embed}: a transformer's equals its --hidden {config.hidden}; leave it out"
            )
    if config.init == "identity" and config.model not in RECURRENT:
        problems.append(f"--init identity is for {', '.join(RECURRENT)}; {config.model} has no recurrent weights")
    if config.tied and config.input == "one-hot":
        problems.append("--tied needs a learned embedding, which --input one-hot does not have")
    return problems


def _check_training(config: TrainConfig) -> list[str]:
    problems = []
    lengths = [f"--{name}" for name in ("steps", "epochs", "time") if getattr(config, name)]
    if len(lengths) > 1:
        problems.append(f"{' and '.join(lengths)} each say how long to train: give one of them")
    if config.nesterov and config.optimizer != "sgd":
        problems.append(f"--nesterov is for --optimizer sgd, not {config.optimizer}")
    if config.nesterov and not config.momentum:
        problems.append("--nesterov needs a --momentum above 0")
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", config.device):
        problems.append(f"--device {config.device!r}: choose from auto, cpu, cuda, cuda:1, mps")
    return problems


def checked(config: Config) -> Config:
    """`config` itself, or UsageError naming everything that is wrong with it."""
    if problems := check(config):
        raise UsageError("; ".join(problems))
    return config


def from_mapping(kind: type[Config], values: Mapping[str, Any], source: str) -> Config:
    """Build checked settings from a mapping read from `source`; InputError on unknown keys or wrong types."""
    known = {item.name: item for item in dataclasses.fields(kind)}
    coerced: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise InputError(f"{source}: unknown setting {name!r}: choose from {', '.join(known)}")
        coerced[name] = _coerce(value, known[name].default, f"{source}: {name}")
    try:
        return checked(kind(**coerced))
    except UsageError as error:
        raise InputError(f"{source}: {error}") from error


def _coerce(value: Any, default: Any, name: str) -> Any:
    try:
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(default, float) and isinstance(value, str) and name.endswith("time"):
            return parse_duration(value)
    except (OverflowError, UsageError) as error:
        raise InputError(f"{name}: {error}") from error
    if type(value) is not type(default):
        raise InputError(f"{name} is {value!r}, where {type(default).__name__} is expected")
    return value


def settings_from_file(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Check the names and types in a --config file and give the settings as flags would have given them."""
    known = {item.name: item for kind in (ModelConfig, TrainConfig) for item in dataclasses.fields(kind)}
    for name in values:
        if name.replace("-", "_") not in known:
            raise InputError(f"{source}: unknown setting {name!r}: choose from {', '.join(known)}")
    plain = {name.replace("-", "_"): value for name, value in values.items()}
    return {name: _coerce(value, known[name].default, f"{source}: {name}") for name, value in plain.items()}


def resolve(asked: Mapping[str, Any], facts: Facts) -> tuple[ModelConfig, TrainConfig]:
    """Complete settings: what was `asked` beats what suits the model, the text and the time, which beats the defaults.

    Deterministic: the same request on the same text gives the same settings on every machine of one kind.
    """
    model = asked.get("model", ModelConfig.model)
    chosen: dict[str, Any] = {**MODEL_DEFAULTS.get(model, {}), **_sizes(model, asked, facts), **asked}
    optimizer = chosen.get("optimizer", TrainConfig.optimizer)
    chosen.setdefault("momentum", 0.9 if optimizer == "sgd" else 0.0)
    if optimizer != "adamw" and "weight_decay" not in asked:
        chosen["weight_decay"] = (
            0.0  # theirs goes through the gradient, where as much as suits adamw stops all learning
        )
    if not chosen.get("lr"):
        chosen["lr"] = chosen.pop("adam_lr") if optimizer in ("adam", "adamw") else OPTIMIZER_LR[optimizer]
    chosen.pop("adam_lr", None)
    chosen.setdefault("early_stop", 4)
    model_config = checked(ModelConfig(**_own(ModelConfig, chosen)))
    train_config = checked(TrainConfig(**_own(TrainConfig, chosen)))
    return model_config, _fit_to_text(model_config, train_config, asked, facts)


def _own(kind: type[Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the chosen settings that belong to a dataclass."""
    return {item.name: chosen[item.name] for item in dataclasses.fields(kind) if item.name in chosen}


# What suits each architecture on two processor cores in a minute: found by measuring, on text by characters.
MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "lstm": {"embed": 32, "hidden": 256, "batch_size": 16, "bptt": 32, "adam_lr": 8e-3},
    "gru": {"embed": 32, "hidden": 256, "batch_size": 16, "bptt": 32, "adam_lr": 5e-3},
    "rnn": {"embed": 32, "hidden": 320, "batch_size": 16, "bptt": 32, "adam_lr": 3e-3, "weight_decay": 0.1},
    "ffn": {
        "embed": 32,
        "hidden": 256,
        "layers": 2,
        "context": 16,
        "activation": "relu",
        "batch_size": 8,
        "bptt": 32,
        "adam_lr": 3e-3,
        "weight_decay": 0.1,
    },
    "transformer": {
        "layers": 2,
        "hidden": 128,
        "context": 64,
        "batch_size": 8,
        "adam_lr": 2e-3,
        "stateful": False,
        "weight_decay": 0.1,
    },
}
ACCELERATOR_SIZES: dict[str, dict[str, Any]] = {
    "transformer": {
        "layers": 6,
        "hidden": 384,
        "heads": 6,
        "context": 256,
        "batch_size": 64,
        "adam_lr": 1e-3,
        "dropout": 0.2,
    },
    "other": {"layers": 2, "hidden": 512, "batch_size": 64, "bptt": 64, "adam_lr": 2e-3},
}
OPTIMIZER_LR = {"sgd": 1.0, "adadelta": 5.0, "adagrad": 0.05, "rmsprop": 2e-3}

DEFAULT_PASSES = 20  # over the text, when nothing says how long to train
DEFAULT_TOKENS = (300_000, 4_000_000, 60_000_000)  # at least; at most; at most on an accelerator
LARGE_VOCABULARY = 4096
DROPOUT_TEXT_TOKENS = 300_000  # under this many a model soon knows its text by heart: it has dropout,
SMALL_TEXT_TOKENS = 60_000  # and under this many it is smaller


def _sizes(model: str, asked: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """The defaults that depend on the text and the machine."""
    sizes: dict[str, Any] = {"stem": 4 if facts.vocab_size <= LARGE_VOCABULARY else 2}
    if facts.train_tokens < SMALL_TEXT_TOKENS:
        sizes["hidden"] = 128
    elif facts.accelerator:
        sizes |= ACCELERATOR_SIZES["transformer" if model == "transformer" else "other"]
    if facts.train_tokens < DROPOUT_TEXT_TOKENS:
        sizes["dropout"] = 0.2
    if model == "transformer":
        context = sizes.get("context", MODEL_DEFAULTS[model]["context"])
        sizes["context"] = max(1, min(context, facts.train_tokens // 4))
    return sizes


def _fit_to_text(model: ModelConfig, training: TrainConfig, asked: Mapping[str, Any], facts: Facts) -> TrainConfig:
    """Batches that the text can fill, and how many of them, where nothing was asked."""
    changes: dict[str, Any] = {}
    if model.model == "transformer":
        if asked.get("stateful"):
            raise UsageError("--stateful: a transformer sees its --context and carries no state; leave it out")
        if asked.get("bptt", model.context) != model.context:
            raise UsageError("--bptt: a transformer learns through its whole --context; set that")
        changes["bptt"] = model.context
    time = changes.get("bptt", training.bptt)
    if "bptt" not in asked and model.model != "transformer":
        time = changes["bptt"] = max(1, min(time, facts.train_tokens // 8))
    if "batch_size" not in asked:
        changes["batch_size"] = max(1, min(training.batch_size, facts.train_tokens // (4 * time)))
    if not (training.steps or training.epochs or training.time):
        least, most, most_fast = DEFAULT_TOKENS
        tokens = min(max(DEFAULT_PASSES * facts.train_tokens, least), most_fast if facts.accelerator else most)
        changes["steps"] = max(1, round(tokens / (changes.get("batch_size", training.batch_size) * time)))
    return dataclasses.replace(training, **changes)


def steps_of(training: TrainConfig, train_tokens: int) -> int:
    """Steps in all: those asked for, or as many as make up the epochs; 0 when a time ends the training."""
    if training.epochs:
        return max(1, round(training.epochs * train_tokens / (training.batch_size * training.bptt)))
    return training.steps
