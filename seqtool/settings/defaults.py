"""What suits a model, a text and a machine, where the user names nothing; and the recipes that come with seqtool.

`resolve` turns what a user asked for, which is usually next to nothing, into complete settings.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtool.errors import UsageError
from seqtool.settings.architectures import Architecture
from seqtool.settings.checking import checked
from seqtool.settings.choices import choose_from
from seqtool.settings.layouts import OWN, inner_width, with_layout
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import FULL, TrainConfig


@dataclass(frozen=True)
class Facts:
    """What the defaults depend on: the text and the machine."""

    train_tokens: int
    vocab_size: int
    accelerator: bool
    documents: int = 1
    longest_document: int = 0
    """Tokens of the longest document; 0 means all of them."""


def resolve(asked: Mapping[str, Any], facts: Facts) -> tuple[ModelConfig, TrainConfig]:
    """Complete settings: what was `asked` beats what suits the model, the text and the time, which beats the defaults.

    Deterministic: the same request on the same text gives the same settings on every machine of one kind.
    """
    asked = with_layout(asked)
    model = asked.get("model", ModelConfig.model)
    traits = checked(ModelConfig(model=model)).architecture
    suited = _suited(model, traits, asked, facts)
    chosen: dict[str, Any] = {
        "stateful": traits.carries_state,
        "stem": 4 if facts.vocab_size <= LARGE_VOCABULARY else 2,
        **suited,
        **OPTIMIZER_DEFAULTS.get(asked.get("optimizer", suited.get("optimizer", TrainConfig.optimizer)), {}),
        "early_stop": 4,
        **asked,
    }
    if chosen.get("mixers") and "layers" not in asked:
        chosen["layers"] = max(chosen.get("layers", 1), len(chosen["mixers"].split(",")))
    if not chosen.get("inner"):
        chosen["inner"] = inner_width(chosen.get("layout", OWN), -(-8 * chosen.get("hidden", ModelConfig.hidden) // 3))
    averaging = chosen.get("optimizer") in ("asgd", "nt-asgd")  # these step as sgd without momentum
    wider = max(1.0, chosen.get("hidden", 1) / suited.get("hidden", ModelConfig.hidden))  # than the rate was chosen for
    rates = {"adam_lr": ADAM_LR, "sgd_lr": SGD_LR, **suited}
    chosen["lr"] = chosen.get("lr") or rates["sgd_lr" if averaging else "adam_lr"] / wider
    model_config = checked(ModelConfig(**own_settings(ModelConfig, chosen)))
    training = _fit_to_text(model_config, TrainConfig(**own_settings(TrainConfig, chosen)), asked, facts)
    return model_config, checked(training)


def own_settings(kind: type[Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the chosen settings that belong to a dataclass."""
    return {item.name: chosen[item.name] for item in dataclasses.fields(kind) if item.name in chosen}


# What suits an update rule where it differs from adamw. The decay of those that do not decouple it goes through the
# gradient, where as much as suits adamw stops all learning.
OPTIMIZER_DEFAULTS: dict[str, dict[str, Any]] = {
    "sgd": {"lr": 1.0, "momentum": 0.9, "weight_decay": 0.0},
    "adam": {"weight_decay": 0.0},
    "adadelta": {"lr": 5.0, "weight_decay": 0.0},
    "adagrad": {"lr": 0.05, "weight_decay": 0.0},
    "rmsprop": {"lr": 2e-3, "weight_decay": 0.0},
    "asgd": {"schedule": "constant", "weight_decay": 0.0},
    "nt-asgd": {"schedule": "constant", "weight_decay": 0.0},
    "adafactor": {"lr": 0.1, "weight_decay": 0.0},
    "muon": {"momentum": 0.95},
}

DEFAULT_PASSES = 20  # over the text, when nothing says how long to train
DEFAULT_TOKENS = (300_000, 4_000_000, 60_000_000)  # at least; at most; at most on an accelerator
LARGE_VOCABULARY = 4096
ADAM_LR, SGD_LR = 3e-3, 1.0  # of an architecture for which nothing was measured
LONG_DOCUMENT = 4  # batches that a document fills on average, where each is read by itself
SHORT_TEXT_DROPOUT, SMALL_TEXT_HIDDEN = 0.3, 128
SUITED = Path(__file__).with_name("defaults.toml")
MINUTE_S = 60.0
LENGTHS_UNTIL_S = {"seconds": 20.0, "minute": 190.0, "ten-minutes": math.inf}
SOFTMAX_HALVES = 1536  # symbols whose softmax takes as long as the layers do


def _suited(model: str, traits: Architecture, asked: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """What suits the model, the time and the text, from defaults.toml."""
    by_name = suited_settings().get(model, {})
    # What the softmax takes of the time is not there for the layers: with more symbols it is as if it were shorter.
    time_s = (asked.get("time") or MINUTE_S) * SOFTMAX_HALVES / (SOFTMAX_HALVES + facts.vocab_size)
    case = next(name for name, until_s in LENGTHS_UNTIL_S.items() if time_s < until_s)
    dropping = facts.train_tokens < by_name.get("dropout_under", 0)
    if facts.accelerator:
        case = "accelerator"
    elif dropping:
        case = "seconds"  # a short text is known by heart by then
    differing = by_name.get(case, {})
    if facts.train_tokens < by_name.get("small_under", 0):
        differing = {**by_name.get("seconds", {}), "hidden": SMALL_TEXT_HIDDEN}
    suited = {name: value for name, value in {**by_name, **differing}.items() if not isinstance(value, dict)}
    if dropping:
        suited["dropout"] = SHORT_TEXT_DROPOUT
    if not traits.carries_state:
        most = suited.get("context", ModelConfig.context)
        suited["context"] = max(1, min(most, facts.train_tokens // 4))
    return suited


@functools.cache
def suited_settings() -> dict[str, dict[str, Any]]:
    """defaults.toml: for each model its settings by name, and tables of what differs in longer trainings."""
    return underscored(tomllib.loads(SUITED.read_text(encoding="utf-8")))


def underscored(table: dict[str, Any]) -> dict[str, Any]:
    """The same with settings' names as they are in Python; those of tables stay."""
    return {
        name if isinstance(value, dict) else name.replace("-", "_"): underscored(value)
        if isinstance(value, dict)
        else value
        for name, value in table.items()
    }


def _fit_to_text(model: ModelConfig, training: TrainConfig, asked: Mapping[str, Any], facts: Facts) -> TrainConfig:
    """Batches that the text can fill, and how many of them, where nothing was asked."""
    changes: dict[str, Any] = {}
    longest = facts.longest_document or facts.train_tokens
    carries_state = model.architecture.carries_state
    if not carries_state:
        if asked.get("stateful"):
            raise UsageError(f"--stateful: {model.model} sees its --context and carries no state; leave it out")
        if asked.get("bptt", model.context) != model.context:
            raise UsageError(f"--bptt: {model.model} learns through its whole --context; set that")
        changes["bptt"] = model.context
    elif training.bptt == FULL:
        if asked.get("stateful") or asked.get("within_documents") is False:
            raise UsageError("--bptt full reads whole documents: leave --stateful and --across-documents out")
        if longest >= FULL:
            raise UsageError(
                f"--bptt full: a document has {longest:,} tokens; say with --document what ends one, or give --bptt N"
            )
        changes |= {"bptt": longest, "stateful": False, "within_documents": True}
    time = changes.get("bptt", training.bptt)
    if "bptt" not in asked and carries_state:
        time = changes["bptt"] = max(1, min(time, facts.train_tokens // 8))
    if "batch_size" not in asked:
        most = min(training.batch_size, facts.train_tokens // (4 * time))
        changes["batch_size"] = max(training.accumulate, most // training.accumulate * training.accumulate)
    if "within_documents" not in asked and "within_documents" not in changes and facts.documents > 1:
        carries_on = training.bptt_jitter or training.bptt_advance
        changes["within_documents"] = not carries_on and facts.train_tokens >= LONG_DOCUMENT * time * facts.documents
    if not (training.steps or training.epochs or training.time):
        least, most, most_fast = DEFAULT_TOKENS
        tokens = min(max(DEFAULT_PASSES * facts.train_tokens, least), most_fast if facts.accelerator else most)
        changes["steps"] = max(1, round(tokens / (changes.get("batch_size", training.batch_size) * time)))
    return dataclasses.replace(training, **changes)


RECIPES = Path(__file__).with_name("recipes")


def recipes() -> dict[str, str]:
    """The recipes that come with seqtool: each name and what its first line says of it."""
    return {
        file.stem: file.read_text(encoding="utf-8").splitlines()[0].removeprefix("#").strip()
        for file in sorted(RECIPES.glob("*.toml"))
    }


def recipe_file(name: str) -> Path:
    """The file that --config names: one of the user's, or a recipe that comes with seqtool."""
    if Path(name).exists() or name not in recipes():
        if not Path(name).exists() and not name.endswith(".toml"):
            raise UsageError(f"--config {name!r}: no such file, and no recipe: {choose_from(name, recipes())}")
        return Path(name)
    return RECIPES / f"{name}.toml"
