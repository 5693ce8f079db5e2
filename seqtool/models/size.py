"""How many numbers a model has, from its settings alone: known before memory is taken, and without loading torch.

Symbols: V vocabulary, S symbols that are learned to be predicted, E embedding, H hidden width, F width of the last
layer, K context, L layers.
"""

from __future__ import annotations

import math

from seqtool.errors import UsageError
from seqtool.settings.model import MAX_PARAMETERS, RECURRENT, ModelConfig, Symbols

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


def product_weights(config: ModelConfig, symbols: Symbols) -> int:
    """Weights that each token's vectors are multiplied by; what is looked up (embeddings, one-hot input) is none."""
    S, E, H, K, L = symbols.seen, config.embed_width, config.hidden, config.context, config.layers
    F = config.feature_width
    width = 0 if config.input == "one-hot" else E
    if config.model in RECURRENT:
        hidden = [H] * (L - 1) + [F]
        before = [width, *hidden]
        core = sum(GATES[config.model] * H_l * (E_l + H_l) for E_l, H_l in zip(before, hidden, strict=False))
    elif config.model == "ffn":
        core = K * width * H + (L - 1) * H * H
    else:
        core = L * (4 * H * H + (3 if config.feedforward == "swiglu" else 2) * H * feedforward_width(config))
    narrow = E * F if config.tied and E != F else 0
    return core + narrow + S * (E if config.tied else F)


def flops_per_token(config: ModelConfig, symbols: Symbols, time: int) -> int:
    """Floating-point operations of training on a token, forward and backward, in sequences of `time` tokens.

    6 for each weight of a product: a multiplication and an addition forward, and twice that backward, for the
    gradients of input and weight (Kaplan et al. 2020, section 2.1). In each layer of a transformer also the products
    with keys and values, of H numbers each, of the (time + 1) / 2 tokens that one sees on average: the causal half,
    which is needed, though a kernel may compute more. What is no matrix product does not count: activations, norms,
    the softmax, the update.
    """
    flops = 6 * product_weights(config, symbols)
    if config.model == "transformer":
        flops += 6 * config.layers * config.hidden * (time + 1)
    return flops
