"""Every setting: its name, default, choices and limits. Flags, TOML files and help text take them from here.

Frozen dataclasses of plain values; nothing here imports torch. What suits a text is chosen in seqtool.defaults.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from seqtool.errors import InputError, UsageError

RECURRENT = ("rnn", "gru", "lstm")
MODELS = (*RECURRENT, "ffn", "transformer")
VOCABULARY_TYPES = ("bpe", "unigram", "char", "byte", "word")
DOCUMENT_BREAKS = ("file", "blank-line", "line")
NORMALIZATIONS = ("none", "nfkc")
OPTIMIZER_NAMES = (
    "sgd", "adam", "adamw", "adadelta", "adagrad", "rmsprop", "asgd", "nt-asgd", "adafactor", "muon"
)  # fmt: skip
SCHEDULE_NAMES = ("constant", "linear", "cosine", "inverse-sqrt", "wsd", "step", "plateau")
LENGTHS = ("steps", "epochs", "time")
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
    dropout_input: float = setting(
        -1.0, "Of that, the one on embeddings.", low=-1, below=1, shown_default="--dropout's"
    )
    dropout_hidden: float = setting(
        -1.0, "Of that, the one between layers.", low=-1, below=1, shown_default="--dropout's"
    )
    dropout_output: float = setting(
        -1.0, "Of that, the one before the output.", low=-1, below=1, shown_default="--dropout's; transformer 0"
    )
    dropout_embedding: float = setting(0.0, "Leave out whole symbols of the embedding.", low=0, below=1)
    weight_dropout: float = setting(0.0, "Dropout on the weights from hidden state to hidden state.", low=0, below=1)
    variational: bool = setting(
        False,
        "One dropout mask for all tokens of a sequence, or a new one for each.",
        flag="--variational/--no-variational",
    )
    last_hidden: int = setting(0, "Width of the last recurrent layer.", low=0, high=65536, shown_default="--hidden's")

    @property
    def embed_width(self) -> int:
        """Width of the embedding; that of the hidden layers unless set."""
        return self.embed or self.hidden

    @property
    def feature_width(self) -> int:
        """Width of what the output layer reads; that of the hidden layers unless set."""
        return self.last_hidden or self.hidden

    def dropout_at(self, place: str) -> float:
        """The dropout on `input`, `hidden` or `output`: its own, or what --dropout says of all."""
        own: float = getattr(self, f"dropout_{place}")
        if own >= 0:
            return own
        return 0.0 if place == "output" and self.model == "transformer" else self.dropout


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How weights are learned: batches, truncation, optimizer, schedule, regularisation, length, and what is kept."""

    # Mini-batches and back-propagation through time.
    batch_size: int = setting(32, "Sequences in a mini-batch.", low=1, high=1 << 20, shown_default="by model and text")
    accumulate: int = setting(
        1, "Compute a mini-batch in so many parts, which takes less memory for the same result.", low=1, high=1 << 20
    )
    bptt: int = setting(
        64,
        "Time steps that gradients flow back through; full: to the document's beginning (a transformer's is its "
        "--context).",
        low=1,
        high=1 << 20,
        metavar="N|full",
        shown_default="by model and text",
    )
    bptt_advance: int = setting(
        0,
        "Tokens to go forward at each step, at most --bptt: truncation with k1 of these and k2 of those.",
        low=0,
        high=1 << 20,
        shown_default="--bptt",
    )
    bptt_jitter: bool = setting(
        False, "Draw each batch's length around --bptt, its rate in proportion (AWD-LSTM).", flag="--bptt-jitter"
    )
    stateful: bool = setting(
        True,
        "Carry the hidden state from batch to batch, or start each sequence afresh.",
        flag="--stateful/--stateless",
    )
    within_documents: bool = setting(
        False,
        "Begin afresh at each document, or read on across their borders.",
        flag="--within-documents/--across-documents",
        shown_default="within, where documents are long",
    )
    subword_sampling: float = setting(
        0.0,
        "Split words anew in each pass: for bpe the share of merges left out, for unigram the smoothing (0: never).",
        low=0,
        high=1,
    )

    # The update rule and its rate.
    optimizer: str = setting("adamw", "Update rule.", choices=OPTIMIZER_NAMES)
    lr: float = setting(0.0, "Peak learning rate.", low=0, high=1e6, shown_default="by optimizer and model")
    momentum: float = setting(
        0.0, "Momentum of sgd, rmsprop and muon.", low=0, below=1, shown_default="0.9 for sgd, 0.95 for muon"
    )
    nesterov: bool = setting(False, "Nesterov's momentum, for sgd.", flag="--nesterov/--no-nesterov")
    beta1: float = setting(0.9, "Decay of the mean gradient: adam, adamw, muon.", low=0, below=1)
    beta2: float = setting(
        0.99, "Decay of the mean squared gradient: adam, adamw, adadelta, rmsprop, muon.", low=0, below=1
    )
    weight_decay: float = setting(
        0.03,
        "Weight decay of matrices, not of embeddings, norms and biases (decoupled under adamw, adafactor, muon).",
        low=0,
        high=100,
        shown_default="by model for adamw and muon, else 0",
    )
    average_from: float = setting(0.5, "asgd: share of the training after which weights are averaged.", low=0, below=1)
    nonmonotone: int = setting(
        5, "nt-asgd: average once a validation is no better than the best before the last so many.", low=1, high=1000
    )
    ema: float = setting(
        0.0, "Keep an exponential moving average of the weights with this decay, as 0.999 (0: none).", low=0, below=1
    )
    schedule: str = setting(
        "cosine",
        "How the rate falls.",
        choices=SCHEDULE_NAMES,
        shown_default="cosine; constant for asgd and nt-asgd",
    )
    warmup: float = setting(0.03, "Linear warm-up: steps, or under 1 a share of the whole.", low=0)
    final_lr: float = setting(0.0, "Last rate of the schedule as a share of --lr.", low=0, high=1)
    decay: float = setting(0.2, "wsd: share of the training, at its end, in which the rate falls.", low=0, high=1)
    decay_every: float = setting(
        0.25, "step: the rate falls every so many steps, or under 1 after each such share of the whole.", low=0
    )
    decay_factor: float = setting(0.3, "step and plateau: what the rate is multiplied by.", low=0, high=1)
    decay_patience: int = setting(
        1, "plateau: the rate falls after so many validations without a better one.", low=1, high=1000
    )
    clip_norm: float = setting(
        1.0, "Rescale gradients whose norm is larger (0: never).", low=0, high=1e9, shown_default="1"
    )
    clip_value: float = setting(0.0, "Clamp each component of the gradient to +-this (0: never).", low=0, high=1e9)
    clip_agc: float = setting(
        0.0,
        "Rescale the gradient of a unit's weights to this share of their norm, as 0.01 (adaptive clipping; 0: never).",
        low=0,
        high=1e9,
    )

    # What the objective has beside the cross-entropy.
    label_smoothing: float = setting(
        0.0, "Share of the target's probability that is spread over all symbols.", low=0, below=1
    )
    z_loss: float = setting(0.0, "Weight of the squared log of the softmax's denominator, as 1e-4.", low=0, high=1e3)
    ar: float = setting(0.0, "Weight of the squared activations that the output reads (AWD-LSTM: 2).", low=0, high=1e6)
    tar: float = setting(0.0, "Weight of their squared changes from token to token (AWD-LSTM: 1).", low=0, high=1e6)

    # How long, and what is kept.
    steps: int = setting(0, "Train for this many steps.", low=0, shown_default="by text")
    epochs: float = setting(0.0, "Train for this many passes over the text.", low=0, high=1e9)
    time: float = setting(
        0.0,
        "Train for about this long: 60s, 10m, 2h; soon after the beginning it becomes a number of steps.",
        low=0,
        high=1e9,
        metavar="DURATION",
    )
    early_stop: int = setting(
        0, "Stop after this many validations without a better one (0: never).", low=0, shown_default="4"
    )
    min_gain: float = setting(0.0, "A validation is better when it is so many nats per token lower.", low=0, high=1e3)
    eval_every: int = setting(0, "Steps between validations.", low=0, shown_default="ten in all")
    checkpoint_every: int = setting(
        0, "Steps between checkpoints, from which --resume goes on.", low=0, shown_default="at each validation"
    )
    probe_gradients: int = setting(
        0,
        "At each validation, record the gradient of a loss by the hidden state up to so many tokens before.",
        low=0,
        high=1 << 16,
        metavar="LAGS",
    )

    # The machine.
    seed: int = setting(0, "Fixes everything random.", low=0, high=2**63 - 1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1 or mps.")
    precision: str = setting("auto", "Arithmetic of the matrix products.", choices=("auto", "fp32", "bf16", "fp16"))
    compile: str = setting(
        "auto", "Compile the training step; auto: in long trainings, if it is faster.", choices=("auto", "on", "off")
    )
    shard: bool = setting(
        False, "Under torchrun, split the weights of a transformer over the processes.", flag="--shard/--no-shard"
    )


MAY_CHANGE = (
    "steps",
    "epochs",
    "time",
    "early_stop",
    "min_gain",
    "eval_every",
    "checkpoint_every",
    "probe_gradients",
    "device",
)
"""The training settings that --resume takes: they do not change what a step does."""


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
    typical: float = setting(
        1.0,
        "Sample from the tokens nearest to the expected information that hold this much probability.",
        low=0,
        high=1,
    )
    repetition_penalty: float = setting(
        1.0, "Divide the probability of tokens that are there already by this (1: do not).", low=0.001, high=1e9
    )
    greedy: bool = setting(False, "Always take the likeliest token.", flag="--greedy")
    beam: int = setting(
        0, "Search for the likeliest text, keeping this many beginnings of it (0: sample).", low=0, high=1024
    )
    length_penalty: float = setting(
        1.0, "--beam: a text's log p is divided by its length to this power (0: short ones win).", low=0, high=10
    )
    until_end: bool = setting(
        False, "Write until the model ends the text, however long that takes.", flag="--until-end"
    )
    constrain: str = setting("", "Write only what matches this regular expression, as a whole.", metavar="REGEX")
    precision: str = setting(
        "fp32", "What weights are read in, for speed: int8 is for CPUs.", choices=("fp32", "bf16", "int8")
    )
    seed: int = setting(0, "Fixes the sampling.", low=0, high=2**63 - 1, shown_default="random, and printed")
    batch_size: int = setting(64, "Samples made at once.", low=1, high=1 << 20)


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """How text is scored."""

    context: int = setting(0, "Tokens a transformer sees at most.", low=0, shown_default="the model's")
    stride: int = setting(0, "Tokens a transformer's window moves on.", low=0, shown_default="half the context")
    batch_size: int = setting(256, "Lines, documents or windows scored at once, at most.", low=1, high=1 << 20)
    oov: str = setting(
        "include", "Unknown words of a `word` vocabulary: scored, or only read.", choices=("include", "exclude")
    )


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


def parse_bptt(text: str) -> int:
    """A number of time steps, or FULL for the word `full`."""
    if text.strip() == "full":
        return FULL
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"--bptt {text!r}: give a number of time steps, or full") from None


FULL = 1 << 20
"""The --bptt that reaches to every document's beginning."""

WORDS: dict[str, Callable[[str], Any]] = {"DURATION": parse_duration, "N|full": parse_bptt}
"""How a setting is read that is not just a number: by what stands for it in the help text."""

DATA_SETTINGS: dict[str, type] = {"vocab_type": str, "vocab_size": int, "document": str}
"""What a --config file may say beside the settings of model and training."""


def check(config: Any) -> list[str]:
    """What is wrong with one dataclass of settings, a phrase for each problem, in the user's words."""
    problems = check_each(config)
    if isinstance(config, ModelConfig):
        problems += _check_model(config)
    if isinstance(config, TrainConfig):
        problems += _check_training(config)
    if isinstance(config, GenerateConfig):
        problems += _check_generation(config)
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
    if config.dropout_embedding and config.input == "one-hot":
        problems.append("--dropout-embedding needs a learned embedding, which --input one-hot does not have")
    for name in ("weight_dropout", "last_hidden"):
        if getattr(config, name) and config.model not in RECURRENT:
            problems.append(f"--{name.replace('_', '-')} is for {', '.join(RECURRENT)}, not {config.model}")
    for place in ("input", "hidden", "output"):
        if -1 < (rate := getattr(config, f"dropout_{place}")) < 0:
            problems.append(f"--dropout-{place} {rate:g}: at least 0")
    return problems


def _check_training(config: TrainConfig) -> list[str]:
    problems = []
    lengths = [f"--{name}" for name in LENGTHS if getattr(config, name)]
    if len(lengths) > 1:
        problems.append(f"{' and '.join(lengths)} each say how long to train: give one of them")
    if config.nesterov and config.optimizer != "sgd":
        problems.append(f"--nesterov is for --optimizer sgd, not {config.optimizer}")
    if config.nesterov and not config.momentum:
        problems.append("--nesterov needs a --momentum above 0")
    if config.schedule == "step" and not config.decay_every:
        problems.append("--decay-every 0: give the steps, or the share of the whole, after which the rate falls")
    if config.ema and config.optimizer in ("asgd", "nt-asgd"):
        problems.append(f"--ema: {config.optimizer} averages weights itself; leave one of them out")
    if config.batch_size % config.accumulate:
        problems.append(
            f"--batch-size {config.batch_size} does not divide by --accumulate {config.accumulate}: choose a multiple"
        )
    problems += _check_truncation(config)
    return [*problems, *check_device_name(config.device)]


def check_device_name(name: str) -> list[str]:
    """What is wrong with the name of a device."""
    known = re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name)
    return [] if known else [f"--device {name!r}: choose from auto, cpu, cuda, cuda:1, mps"]


def _check_generation(config: GenerateConfig) -> list[str]:
    chooses = {"--greedy": config.greedy, "--beam": config.beam > 0}
    drawing = {"--top-k": "top_k", "--top-p": "top_p", "--min-p": "min_p", "--typical": "typical"}
    defaults = GenerateConfig()
    draws = [flag for flag, name in drawing.items() if getattr(config, name) != getattr(defaults, name)]
    problems = [
        f"{name} takes the likeliest and draws nothing: leave out {' and '.join(draws)}"
        for name, asked in chooses.items()
        if asked and draws
    ]
    if config.greedy and config.beam:
        problems.append("--greedy and --beam each say how tokens are chosen: give one of them")
    return problems


def _check_truncation(config: TrainConfig) -> list[str]:
    problems = []
    if config.bptt_advance > config.bptt:
        problems.append(f"--bptt-advance {config.bptt_advance}: at most --bptt, {config.bptt}, or tokens are skipped")
    for name, asked in (
        ("bptt-advance", 0 < config.bptt_advance < config.bptt),
        ("bptt-jitter", config.bptt_jitter),
    ):
        if asked and not config.stateful:
            problems.append(f"--{name} carries the state: leave --stateless out")
        if asked and config.within_documents:
            problems.append(f"--{name} reads across documents: leave --within-documents and --bptt full out")
    if config.bptt_jitter and 0 < config.bptt_advance < config.bptt:
        problems.append("--bptt-jitter and --bptt-advance each say how far a batch goes: give one of them")
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
        coerced[name] = _coerce(value, known[name], f"{source}: {name}")
    try:
        return checked(kind(**coerced))
    except UsageError as error:
        raise InputError(f"{source}: {error}") from error


def _coerce(value: Any, item: dataclasses.Field[Any], name: str) -> Any:
    default = item.default
    try:
        if isinstance(value, str) and item.metadata["metavar"] in WORDS:
            return WORDS[item.metadata["metavar"]](value)
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
    except (OverflowError, UsageError) as error:
        raise InputError(f"{name}: {error}") from error
    if type(value) is not type(default):
        raise InputError(f"{name} is {value!r}, where {type(default).__name__} is expected")
    return value


def settings_from_file(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Check the names and types in a --config file and give the settings as flags would have given them."""
    known = {item.name: item for kind in (ModelConfig, TrainConfig) for item in dataclasses.fields(kind)}
    plain = {name.replace("-", "_"): value for name, value in values.items()}
    for name, value in plain.items():
        if name not in known and name not in DATA_SETTINGS:
            raise InputError(f"{source}: unknown setting {name!r}: choose from {', '.join([*known, *DATA_SETTINGS])}")
        if name in DATA_SETTINGS and type(value) is not DATA_SETTINGS[name]:
            raise InputError(f"{source}: {name} is {value!r}, where {DATA_SETTINGS[name].__name__} is expected")
    return {
        name: _coerce(value, known[name], f"{source}: {name}") if name in known else value
        for name, value in plain.items()
    }
