"""One small model of every kind that a user can ask for."""

from __future__ import annotations

from typing import Any

from seqtool.models.language_model import LanguageModel, build_model
from seqtool.settings.checking import checked
from seqtool.settings.model import ModelConfig, Symbols

V, BEGIN = 20, 1
ZOO: dict[str, dict[str, Any]] = {
    "rnn tanh": {"model": "rnn"},
    "rnn relu identity": {"model": "rnn", "activation": "relu", "init": "identity"},
    "rnn sigmoid": {"model": "rnn", "activation": "sigmoid"},
    "rnn one-hot": {"model": "rnn", "input": "one-hot", "layers": 2},
    "gru": {"model": "gru", "layers": 2, "init": "orthogonal"},
    "gru one-hot": {"model": "gru", "input": "one-hot"},
    "lstm": {"model": "lstm", "layers": 2, "init": "xavier"},
    "lstm one-hot": {"model": "lstm", "input": "one-hot"},
    "lstm tied": {"model": "lstm", "tied": True, "embed": 12},
    "ffn": {"model": "ffn", "context": 5, "layers": 2, "activation": "relu"},
    "ffn one-hot": {"model": "ffn", "context": 3, "input": "one-hot"},
    "ffn of one token": {"model": "ffn", "context": 1, "tied": True},
    "mingru": {"model": "mingru", "layers": 2},
    "mingru signed": {"model": "mingru", "signed": True, "stem": 1, "norm": "rms"},
    "gdn": {"model": "gdn", "layers": 2, "stem": 1, "feedforward": "swiglu"},
    "gdn of 2 mirrors tied": {"model": "gdn", "signed": True, "mirrors": 2, "tied": True, "convolution": 3},
    "gdn and attention": {"model": "gdn", "layers": 2, "mixers": "gdn,attention", "context": 5, "convolution": 1},
    "transformer rope swiglu rms": {"model": "transformer", "feedforward": "swiglu", "norm": "rms"},
    "transformer learned gelu layer": {"model": "transformer", "position": "learned", "feedforward": "gelu", "norm": "layer"},
    "transformer biases gelu-tanh": {"model": "transformer", "biases": True, "feedforward": "gelu-tanh", "rope_base": 500.0, "kv_heads": 1},
    "transformer plain": {"model": "transformer", "stem": 1},
    "transformer sinusoidal relu tied": {"model": "transformer", "position": "sinusoidal", "feedforward": "relu", "tied": True},
}  # fmt: skip


def zoo_model(name: str, *, seen: int = V, vocab_size: int = V, seed: int = 0, **changes: Any) -> LanguageModel:
    """A small model of the zoo, random but not tiny weights, ready to score."""
    settings = {"hidden": 16, "layers": 1, "context": 24, "heads": 2, **ZOO[name], **changes}
    config = checked(ModelConfig(**settings))
    counts = {index: index + 1 for index in range(seen)}
    return build_model(config, Symbols(vocab_size, BEGIN, seen, 1000), counts, seed).eval()
