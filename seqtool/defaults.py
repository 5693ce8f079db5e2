"""What suits a model, a text and a machine, where the user names nothing; and the recipes that come with seqtool.

`resolve` turns what a user asked for, which is usually next to nothing, into complete settings.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqtool.checking import checked
from seqtool.config import FULL, ModelConfig, TrainConfig
from seqtool.errors import UsageError


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
    model = asked.get("model", ModelConfig.model)
    chosen: dict[str, Any] = {
        **MODEL_DEFAULTS.get(model, {}),
        **_sizes(model, asked, facts),
        **OPTIMIZER_DEFAULTS.get(asked.get("optimizer", TrainConfig.optimizer), {}),
        "early_stop": 4,
        **asked,
    }
    averaging = chosen.get("optimizer") in ("asgd", "nt-asgd")  # these step as sgd without momentum
    chosen["lr"] = chosen.get("lr") or chosen.get("sgd_lr" if averaging else "adam_lr")
    model_config = checked(ModelConfig(**_own(ModelConfig, chosen)))
    training = _fit_to_text(model_config, TrainConfig(**_own(TrainConfig, chosen)), asked, facts)
    return model_config, checked(training)


def _own(kind: type[Any], chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the chosen settings that belong to a dataclass."""
    return {item.name: chosen[item.name] for item in dataclasses.fields(kind) if item.name in chosen}


# What suits each architecture on two processor cores in a minute: found by measuring, on text by characters.
MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "lstm": {"embed": 32, "hidden": 256, "batch_size": 16, "bptt": 32, "adam_lr": 8e-3, "sgd_lr": 10.0},
    "gru": {"embed": 32, "hidden": 256, "batch_size": 16, "bptt": 32, "adam_lr": 5e-3, "sgd_lr": 3.0},
    "rnn": {
        "embed": 32,
        "hidden": 320,
        "batch_size": 16,
        "bptt": 32,
        "adam_lr": 3e-3,
        "sgd_lr": 3.0,
        "weight_decay": 0.1,
    },
    "ffn": {
        "embed": 32,
        "hidden": 256,
        "layers": 2,
        "context": 16,
        "activation": "relu",
        "batch_size": 8,
        "bptt": 32,
        "adam_lr": 3e-3,
        "sgd_lr": 1.0,
        "weight_decay": 0.1,
    },
    "transformer": {
        "layers": 2,
        "hidden": 128,
        "context": 64,
        "batch_size": 8,
        "adam_lr": 2e-3,
        "sgd_lr": 1.0,
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
LONG_DOCUMENT = 4  # batches that a document fills on average, where each is read by itself
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
    longest = facts.longest_document or facts.train_tokens
    if model.model == "transformer":
        if asked.get("stateful"):
            raise UsageError("--stateful: a transformer sees its --context and carries no state; leave it out")
        if asked.get("bptt", model.context) != model.context:
            raise UsageError("--bptt: a transformer learns through its whole --context; set that")
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
    if "bptt" not in asked and model.model != "transformer":
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
            raise UsageError(f"--config {name!r}: no such file, and no recipe: choose from {', '.join(recipes())}")
        return Path(name)
    return RECIPES / f"{name}.toml"
