"""The models that are measured: each with the settings that `seqtool train` gives it for a text of a million tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seqtool.errors import UsageError
from seqtool.models.language_model import LanguageModel, build_model
from seqtool.settings.defaults import Facts, resolve
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import FULL, TrainConfig

TOKENS = 1_000_000
BEGIN_ID = 0
FP32_BYTES = 4
COPIES = 4  # of the weights in training: themselves, their gradients, and the two moments of adamw


@dataclass(frozen=True)
class Setup:
    """The settings of a model and its training, and its symbols, of which all but `<s>` occur in the text."""

    model: ModelConfig
    training: TrainConfig
    symbols: Symbols


def make_setup(asked: Mapping[str, Any], vocab_size: int, accelerator: bool) -> Setup:
    """Complete the settings that were given; UsageError when they contradict each other."""
    if asked.get("bptt") == FULL:
        raise UsageError("--bptt full: there are no documents to read to the end; give a number of time steps")
    model, training = resolve(asked, Facts(TOKENS, vocab_size, accelerator))
    return Setup(model, training, Symbols(vocab_size, BEGIN_ID, vocab_size - 1, TOKENS))


def make_model(setup: Setup) -> LanguageModel:
    """The model with its initial weights, the same each time: its speed does not depend on them."""
    seen = [index for index in range(setup.symbols.size) if index != BEGIN_ID]
    return build_model(setup.model, setup.symbols, dict.fromkeys(seen, 1))
