"""Reading settings, and saying what is wrong with them: all problems at once, in the user's words."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from seqtool.errors import InputError, UsageError
from seqtool.settings.architectures import ARCHITECTURES, using
from seqtool.settings.backtest import BacktestConfig
from seqtool.settings.choices import choose_from
from seqtool.settings.embedding import EMBED_USES, EmbedConfig
from seqtool.settings.examples import ExampleConfig
from seqtool.settings.fields import flag_of
from seqtool.settings.generation import MAX_BEAM_TOKENS, GenerateConfig
from seqtool.settings.layouts import other_than_layout
from seqtool.settings.model import ModelConfig
from seqtool.settings.scoring import CacheConfig, EvalConfig
from seqtool.settings.training import FREEZABLE, FULL, LENGTHS, TrainConfig
from seqtool.settings.vocabulary import LEARNED_BY, LONGEST_SYMBOL, MAX_SYMBOLS, VocabularyConfig
from seqtool.settings.writing import WritingConfig

LONGEST_SHOWN = 60  # characters of a value in a message

Config = TypeVar(
    "Config",
    ModelConfig,
    TrainConfig,
    VocabularyConfig,
    GenerateConfig,
    CacheConfig,
    EvalConfig,
    BacktestConfig,
    EmbedConfig,
    ExampleConfig,
    WritingConfig,
)


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


WORDS: dict[str, Callable[[str], Any]] = {"DURATION": parse_duration, "N|full": parse_bptt}
"""How a setting is read that is not just a number: by what stands for it in the help text."""

BEFORE: dict[str, dict[bool, str]] = {"freeze": {False: "", True: "embedding"}}
"""Settings that were switches before, in the files of runs, and what each position of the switch is now."""
ALSO_WITH = {"buckets": "wide_ngrams"}
"""Settings that others of BELONGS_TO's choices use too, with a setting that is not 0."""
BELONGS_TO: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: ("model", using(name)) for traits in ARCHITECTURES.values() for name in traits.settings},
    "momentum": ("optimizer", ("sgd", "rmsprop", "muon", "asgd", "nt-asgd")),
    "beta1": ("optimizer", ("adam", "adamw", "muon")),
    "beta2": ("optimizer", ("adam", "adamw", "adadelta", "rmsprop", "muon")),
    "average_from": ("optimizer", ("asgd",)),
    "nonmonotone": ("optimizer", ("nt-asgd",)),
    "final_lr": ("schedule", ("linear", "cosine", "inverse-sqrt", "wsd", "step", "plateau")),
    "decay": ("schedule", ("wsd",)),
    "decay_every": ("schedule", ("step",)),
    "decay_factor": ("schedule", ("step", "plateau")),
    "decay_patience": ("schedule", ("plateau",)),
}
"""Settings that only some choices of another setting use: that setting, and those choices."""

DATA_SETTINGS: dict[str, type] = {
    "vocab_type": str, "vocab_size": int, "min_count": int, "symbols": str, "split_digits": bool,
    "document": str, "valid": str, "jsonl_field": str,
}  # fmt: skip
"""What a --config file may say beside the settings of model and training."""


def check(config: Any) -> list[str]:
    """What is wrong with one dataclass of settings, a phrase for each problem, in the user's words."""
    if problems := check_each(config):
        return problems  # what goes together can be told of settings that are each possible
    if isinstance(config, ModelConfig):
        problems += _check_model(config)
    if isinstance(config, TrainConfig):
        problems += _check_training(config)
    if isinstance(config, GenerateConfig):
        problems += _check_generation(config)
    if isinstance(config, EmbedConfig):
        problems += _check_embedding(config)
    if isinstance(config, VocabularyConfig):
        problems += _check_vocabulary(config)
    return problems


def check_each(config: Any) -> list[str]:
    """What is wrong with single settings, whatever the others are: their kind, their choices, their limits."""
    problems = []
    for item in dataclasses.fields(config):
        value, limits, name = getattr(config, item.name), item.metadata, flag_of(item).split("/")[0]
        if not _is_of_kind(value, item.default):
            problems.append(f"{name} is {shown(value)}, where {type(item.default).__name__} is expected")
        elif limits["choices"] and value not in limits["choices"]:
            problems.append(f"{name} {shown(value)}: {choose_from(value, limits['choices'])}")
        elif isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{name} must be a finite number")
        elif limits["low"] is not None and value < limits["low"]:
            problems.append(f"{name} {value}: at least {limits['low']}")
        elif limits["high"] is not None and value > limits["high"]:
            problems.append(f"{name} {value}: at most {limits['high']}")
        elif limits["below"] is not None and value >= limits["below"]:
            problems.append(f"{name} {value}: less than {limits['below']}")
    return problems


def _is_of_kind(value: Any, default: Any) -> bool:
    """Whether a value is of the kind that a default has: no bool for a number, a whole number for any, of 64 bits."""
    kinds = (int, float) if type(default) is float else (type(default),)
    return type(value) in kinds and not (type(value) is int and abs(value) >= 1 << 63)


def shown(value: Any) -> str:
    """A value from a file as a message shows it: short, whatever it is."""
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return "a number of more than 64 bits"
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def check_given(settings: Mapping[str, Any], *kinds: type[Any]) -> list[str]:
    """What is wrong with the single settings that were given, of those that belong to these dataclasses."""
    return [
        problem
        for kind in kinds
        for problem in check_each(
            kind(**{item.name: settings[item.name] for item in dataclasses.fields(kind) if item.name in settings})
        )
    ]


def _also(name: str) -> str:
    return f", or with --{ALSO_WITH[name].replace('_', '-')}" if name in ALSO_WITH else ""


def check_used(flags: Collection[str], model: ModelConfig, training: TrainConfig) -> list[str]:
    """Which of the settings that were named on the command line have no effect under the others."""
    if model.architecture.counted:
        used = ("model", "seed", *model.architecture.settings)
        unused = [f"--{name.replace('_', '-')}" for name in sorted(flags) if name not in used]
        told = f"--model {model.model} is counted, without layers or steps of training; leave that out"
        return [f"{' and '.join(unused)}: {told}"] if unused else []
    chosen = {"model": model.model, "optimizer": training.optimizer, "schedule": training.schedule}
    return [
        f"--{name.replace('_', '-')} is for --{by} {', '.join(choices)}{_also(name)}, not {chosen[by]}: leave it out"
        for name, (by, choices) in BELONGS_TO.items()
        if name in flags and chosen[by] not in choices and not getattr(model, ALSO_WITH.get(name, ""), 0)
    ]


def _check_model(config: ModelConfig) -> list[str]:
    traits = config.architecture
    problems = [*traits.check(config), *other_than_layout(dataclasses.asdict(config))]
    if config.input not in traits.inputs:
        problems.append(
            f"--input {config.input}: the first product of {config.model} with it is the learned embedding; use learned"
        )
    if traits.one_width and config.embed_width != config.hidden:
        problems.append(
            f"--embed {config.embed}: that of {config.model} equals its --hidden {config.hidden}; leave it out"
        )
    if config.wide_ngrams and "ngrams" in traits.settings:
        problems.append(f"--wide-ngrams stand beside a net's features, and {config.model} has none else: give --ngrams")
    if config.init not in traits.inits:
        whose = [name for name, others in ARCHITECTURES.items() if config.init in others.inits]
        problems.append(f"--init {config.init} is for {', '.join(whose)}; {config.model} has no recurrent weights")
    if config.tied and config.input == "one-hot":
        problems.append("--tied needs a learned embedding, which --input one-hot does not have")
    if config.dropout_embedding and config.input == "one-hot":
        problems.append("--dropout-embedding needs a learned embedding, which --input one-hot does not have")
    if config.feedforward == "gelu-tanh" and "biases" not in traits.settings:
        problems.append(f"--feedforward gelu-tanh is for {', '.join(using('biases'))}, not {config.model}: take gelu")
    for name in ("weight_dropout", "last_hidden", "biases"):
        if getattr(config, name) and name not in traits.settings:
            problems.append(f"--{name.replace('_', '-')} is for {', '.join(using(name))}, not {config.model}")
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
    if unknown := [part for part in config.frozen if part not in FREEZABLE]:
        problems.append(f"--freeze {shown(unknown[0])}: {choose_from(unknown[0], FREEZABLE)}, or both, with a comma")
    problems += _check_truncation(config)
    return [*problems, *check_device_name(config.device)]


def check_device_name(name: str) -> list[str]:
    """What is wrong with the name of a device."""
    known = re.fullmatch(r"auto|cpu|mps|cuda(:\d{1,3})?", name)
    return [] if known else [f"--device {name!r}: choose from auto, cpu, cuda, cuda:1, mps"]


def _check_generation(config: GenerateConfig) -> list[str]:
    defaults = GenerateConfig()
    given = [
        item.name for item in dataclasses.fields(config) if getattr(config, item.name) != getattr(defaults, item.name)
    ]
    problems = check_generation_effect(config, given)
    if config.greedy and config.beam:
        problems.append("--greedy and --beam each say how tokens are chosen: give one of them")
    if config.min_tokens > config.max_tokens and not config.until_end:
        problems.append(f"--min-tokens {config.min_tokens} is more than --max-tokens {config.max_tokens}")
    if config.beam and config.until_end and config.min_tokens > MAX_BEAM_TOKENS:
        problems.append(
            f"--min-tokens {config.min_tokens} is more than the {MAX_BEAM_TOKENS:,} tokens that --beam --until-end "
            "writes at most: lower it"
        )
    for flag, asked in (("--min-tokens", config.min_tokens), ("--no-repeat-ngram", config.no_repeat_ngram)):
        if asked and config.constrain:
            problems.append(f"{flag} could keep a text from matching --constrain: let the expression say it")
    return problems


def check_generation_effect(config: GenerateConfig, given: Collection[str]) -> list[str]:
    """What was given, by name, that changes nothing in how text is generated."""
    drawing = ["temperature", "top_k", "top_p", "min_p", "typical"]
    problems = []
    for flag, chooses, kept in (
        ("--greedy", config.greedy, ""),
        ("--beam", config.beam > 0, ""),
        ("--temperature 0", config.temperature == 0, "temperature"),
    ):
        draws = [f"--{name.replace('_', '-')}" for name in drawing if name in given and name != kept]
        if chooses and draws:
            problems.append(f"{flag} takes the likeliest and draws nothing: leave out {' and '.join(draws)}")
    if "length_penalty" in given and not config.beam:
        problems.append("--length-penalty compares the texts of a --beam: give --beam K, or leave it out")
    if "batch_size" in given and config.beam:
        problems.append("--batch-size: --beam writes for one prompt at a time; leave it out")
    return problems


def _check_embedding(config: EmbedConfig) -> list[str]:
    problems = []
    if config.epochs and config.time:
        problems.append("--epochs and --time each say how long to learn: give one of them")
    if config.method in ("svd", "one-hot"):
        given = [f"--{name}" for name in ("epochs", "time", "lr") if getattr(config, name)]
        if given:
            problems.append(f"--method {config.method} has no passes to learn in: leave {' and '.join(given)} out")
    if config.subword and config.method not in ("skipgram", "cbow"):
        problems.append(f"--subword is for skipgram and cbow, not {config.method}")
    if config.shortest_ngram > config.longest_ngram:
        problems.append(
            f"--shortest-ngram {config.shortest_ngram} is more than --longest-ngram {config.longest_ngram}: "
            "exchange them"
        )
    return [*problems, *check_device_name(config.device)]


NO_SYMBOL = re.compile(r"|.*[\s\0\u2581\u2585\ud800-\udfff].*|<(unk|s|/s|pad|eos|0x[0-9A-F]{2})>", re.DOTALL)
"""What no symbol can be: nothing, white space and SentencePiece's own signs and names."""


def _check_vocabulary(config: VocabularyConfig) -> list[str]:
    problems = []
    if config.split_digits and config.type not in LEARNED_BY["split_digits"]:
        problems.append(f"--split-digits is for vocabularies of type bpe and unigram, not {config.type}: leave it out")
    symbols = config.symbol_list
    if len(symbols) > MAX_SYMBOLS:
        problems.append(f"--symbols: {len(symbols):,} of them, {MAX_SYMBOLS:,} at most")
    for symbol in symbols[:MAX_SYMBOLS]:
        if NO_SYMBOL.fullmatch(symbol):
            problems.append(f"--symbols {symbol!r}: a symbol has no white space, and is none of the vocabulary's own")
        elif len(symbol) > LONGEST_SYMBOL:
            problems.append(f"--symbols {symbol[:20]!r}…: at most {LONGEST_SYMBOL} characters each")
        elif symbols.count(symbol) > 1:
            problems.append(f"--symbols {symbol!r} is there twice: leave one out")
            break
    return problems


def check_embedding_uses(settings: Mapping[str, Any]) -> None:
    """UsageError naming those settings of EmbedConfig that were given and have no effect on its method."""
    method = settings.get("method", EmbedConfig.method)
    unused = [name for name in settings if method not in EMBED_USES.get(name, (method,))]
    if not settings.get("subword"):
        unused += [name for name in settings if name.endswith(("_ngram", "ngram_rows"))]
    problems = []
    for name in unused:
        of = " and ".join(EMBED_USES[name]) if name in EMBED_USES else "--subword"
        problems.append(f"--{name.replace('_', '-')} is for {of}, not --method {method}: leave it out")
    if problems:
        raise UsageError("; ".join(problems))


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
            raise InputError(f"{source}: unknown setting {shown(name)}: {choose_from(name, known)}")
        coerced[name] = _coerce(value, known[name], f"{source}: {name}")
    try:
        return checked(kind(**coerced))
    except UsageError as error:
        raise InputError(f"{source}: {error}") from error


def _coerce(value: Any, item: dataclasses.Field[Any], name: str) -> Any:
    """A value as its setting wants it; InputError when it is of another kind."""
    if isinstance(value, str) and item.metadata["metavar"] in WORDS:
        try:
            return WORDS[item.metadata["metavar"]](value)
        except UsageError as error:
            raise InputError(f"{name}: {error}") from error
    if type(value) is bool:
        value = BEFORE.get(item.name, {}).get(value, value)
    if not _is_of_kind(value, item.default):
        raise InputError(f"{name} is {shown(value)}, where {type(item.default).__name__} is expected")
    return float(value) if isinstance(item.default, float) else value


def settings_from_file(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Check the names and types in a --config file and give the settings as flags would have given them."""
    kinds = (ModelConfig, TrainConfig, ExampleConfig)
    known = {item.name: item for kind in kinds for item in dataclasses.fields(kind)}
    plain = {name.replace("-", "_"): value for name, value in values.items()}
    if type(plain.get("valid")) is float:
        plain["valid"] = str(plain["valid"])  # a share, as --valid gives it
    for name, value in plain.items():
        if name not in known and name not in DATA_SETTINGS:
            raise InputError(f"{source}: unknown setting {shown(name)}: {choose_from(name, [*known, *DATA_SETTINGS])}")
        if name in DATA_SETTINGS and type(value) is not DATA_SETTINGS[name]:
            raise InputError(f"{source}: {name} is {shown(value)}, where {DATA_SETTINGS[name].__name__} is expected")
    return {
        name: _coerce(value, known[name], f"{source}: {name}") if name in known else value
        for name, value in plain.items()
    }
