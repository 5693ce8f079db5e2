"""How many numbers a model has, from its settings alone: known before memory is taken, and without loading torch.

Symbols: V vocabulary, S symbols that are learned to be predicted, E embedding, H hidden width, F width of the last
layer, K context, L layers.
"""

from __future__ import annotations

import math

from seqtool.config import MAX_PARAMETERS, RECURRENT, ModelConfig, Symbols
from seqtool.errors import UsageError

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def feedforward_width(config: ModelConfig) -> int:
    """Inner width of a transformer's feed-forward block: 4 H; for swiglu's three matrices 8/3 H, by 8s."""
    return math.ceil(8 * config.hidden / 3 / 8) * 8 if config.feedforward == "swiglu" else 4 * config.hidden


def parameter_count(config: ModelConfig, symbols: Symbols) -> int:
    """Trainable numbers of a model, shared ones counted once; UsageError when they are beyond reason."""
    V, S, E, H, K, L = symbols.size, symbols.seen, config.embed_width, config.hidden, config.context, config.layers
    embedding = 0 if config.input == "one-hot" else V * E
    width = V if config.input == "one-hot" else E
    if config.model in RECURRENT:
        hidden = [H] * (L - 1) + [config.feature_width]
        widths = [width, *hidden]
        core = embedding + sum(
            GATES[config.model] * after * (before + after + 2) for before, after in zip(widths, hidden, strict=False)
        )
    elif config.model == "ffn":
        core = embedding + (K * width + 1) * H + (L - 1) * (H + 1) * H
    else:
        norm = 2 * H if config.norm == "layer" else H
        matrices = (3 if config.feedforward == "swiglu" else 2) * H * feedforward_width(config)
        positions = K * H if config.position == "learned" else 0
        core = config.stem * V * H + positions + L * (4 * H * H + matrices + 2 * norm) + norm
    F = config.feature_width
    output = (E * F if E != F else 0) if config.tied else S * F
    count = core + output + S
    if count > MAX_PARAMETERS:
        raise UsageError(f"these sizes make {count:,} parameters: choose smaller ones")
    return count
