"""What suits a task on examples, its data and a model, where the user names nothing."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqtool.errors import UsageError
from seqtool.settings.architectures import ARCHITECTURES
from seqtool.settings.checking import checked
from seqtool.settings.defaults import OPTIMIZER_DEFAULTS, own_settings, underscored
from seqtool.settings.examples import TRANSLATE
from seqtool.settings.model import ModelConfig
from seqtool.settings.training import LENGTHS, TrainConfig

SUITED = Path(__file__).with_name("examples.toml")
LEAST_STEPS, MOST_STEPS, MOST_STEPS_FAST = 300, 20_000, 200_000
SGD_LR = 0.1
FROM_LANGUAGE = "from-language-model"
OF_TEXT = ("bptt", "bptt_advance", "bptt_jitter", "stateful", "within_documents", "subword_sampling", "softmax",
           "ar", "tar", "probe_gradients", "tied", "input", "stem", "output_bias", "layout")  # fmt: skip
"""Settings of language models alone."""
OF_TRANSLATION = ("tied",)
"""Of these, those that what writes texts has as well."""
ALWAYS = {"stateful": False, "stem": 1, "early_stop": 5}


@functools.cache
def suited_to_examples() -> dict[str, Any]:
    """examples.toml: for each kind of examples its best model, and the settings of each model."""
    return underscored(tomllib.loads(SUITED.read_text(encoding="utf-8")))


def model_for(task: str, kind: str, asked: Mapping[str, Any]) -> str:
    """The architecture: the one that is named, or the best for this kind; UsageError where it cannot learn the task."""
    model = str(asked.get("model", suited_to_examples()[kind]["model"]))
    traits = checked(ModelConfig(model=model)).architecture
    known = suited_to_examples()[kind]
    able = [name for name, others in ARCHITECTURES.items() if others.learns(task) and name in known]
    if not traits.learns(task) or model not in known:
        raise UsageError(f"--model {model} does not learn to {task} from {kind}: choose from {', '.join(able)}")
    return model


def suited_settings_of(kind: str, model: str, of_language: bool = False) -> dict[str, Any]:
    """The settings that suit a model on this kind of examples; `vocab_type` among them for text.

    With `of_language`, of one that begins with a language model's layers and has n-grams beside them.
    """
    known = suited_to_examples()
    differing = known.get(f"{kind}-{FROM_LANGUAGE}", {}) if of_language else {}
    return {**known[kind].get(model, {}), **differing.get(model, {})}


def resolve_examples(
    asked: Mapping[str, Any], suited: Mapping[str, Any], examples: int, accelerator: bool
) -> tuple[ModelConfig, TrainConfig]:
    """Complete settings: what was `asked` beats what is `suited`, which beats the defaults.

    `examples` is how many there are to learn from: no batch of a number of them is larger than an eighth.
    """
    optimizer = asked.get("optimizer", suited.get("optimizer", TrainConfig.optimizer))
    of_optimizer = dict(OPTIMIZER_DEFAULTS.get(optimizer, {}))
    if optimizer in ("sgd", "asgd", "nt-asgd"):
        of_optimizer["lr"] = SGD_LR
    chosen = {**ALWAYS, **suited, **of_optimizer, **asked}
    if any(asked.get(name) for name in LENGTHS):
        chosen |= {name: asked.get(name, 0) for name in LENGTHS}
    if not chosen.get("lr"):
        chosen["lr"] = TrainConfig.lr or 1e-3
    chosen.setdefault("batch_size", TrainConfig.batch_size)
    if "batch_size" not in asked and not chosen.get("batch_tokens"):
        accumulate = int(chosen.get("accumulate", 1))
        most = min(int(chosen.get("batch_size", TrainConfig.batch_size)), max(1, examples // 8))
        chosen["batch_size"] = max(accumulate, most // accumulate * accumulate)
    if not any(asked.get(name) for name in LENGTHS):
        steps = float(chosen.pop("epochs", 10)) * examples / chosen["batch_size"]
        chosen["steps"] = round(min(max(steps, LEAST_STEPS), MOST_STEPS_FAST if accelerator else MOST_STEPS))
    chosen["bptt"] = 1
    model = checked(ModelConfig(**own_settings(ModelConfig, chosen)))
    return model, checked(TrainConfig(**own_settings(TrainConfig, chosen)))


def check_meant(flags: frozenset[str], task: str) -> None:
    """UsageError for settings of language models alone that the command line names."""
    meant = OF_TRANSLATION if task == TRANSLATE else ()
    if unused := [name for name in OF_TEXT if name in flags and name not in meant]:
        named = " and ".join(f"--{name.replace('_', '-')}" for name in unused)
        raise UsageError(f"{named}: that is for language models, not to {task}; leave it out")
