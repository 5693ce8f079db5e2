"""How large a model is, from its settings alone: known before memory is taken."""

from __future__ import annotations

from seqtool.errors import UsageError
from seqtool.models.cores.core import CoreSize, core_class
from seqtool.models.heads import head_parameters
from seqtool.models.inputs import input_parameters, input_width
from seqtool.settings.model import MAX_PARAMETERS, ModelConfig, Symbols

TABLE_NUMBERS = 1 << 22  # a table of every symbol's first products is made for generation when it is no larger


def core_size(config: ModelConfig, symbols: Symbols) -> CoreSize:
    """The size of the core between input and output."""
    return core_class(config).size(config, input_width(config, symbols))


def parameter_count(config: ModelConfig, symbols: Symbols) -> int:
    """Trainable numbers of a model, shared ones counted once; UsageError when they are beyond reason."""
    of_head, _ = head_parameters(config, symbols)
    count = input_parameters(config, symbols) + core_size(config, symbols).parameters + of_head
    if count > MAX_PARAMETERS:
        raise UsageError(f"these sizes make {count:,} parameters: choose smaller ones")
    return count


def product_weights(config: ModelConfig, symbols: Symbols) -> int:
    """Weights that each token's vectors are multiplied by; what is looked up (embeddings, one-hot input) is none."""
    _, of_head = head_parameters(config, symbols)
    return core_size(config, symbols).product_weights + of_head


def step_weights(config: ModelConfig, symbols: Symbols) -> int:
    """Of these, the weights that a step of generation reads, whatever the number of texts."""
    size = core_size(config, symbols)
    looked_up = size.table_weights if symbols.size * size.table_width <= TABLE_NUMBERS else 0
    return product_weights(config, symbols) - looked_up


def flops_per_token(config: ModelConfig, symbols: Symbols, time: int) -> int:
    """Floating-point operations of training on a token, forward and backward, in sequences of `time` tokens.

    6 for each weight of a product: a multiplication and an addition forward, and twice that backward, for the
    gradients of input and weight (Kaplan et al. 2020, section 2.1). Where tokens look at tokens before them, also the
    products with keys and values of the (time + 1) / 2 tokens that one sees on average: the causal half, which is
    needed, though a kernel may compute more; and what is read and written of a state or a window of constant size. What
    is no matrix product does not count: activations, norms, the
    softmax, the update.
    """
    size = core_size(config, symbols)
    return 6 * product_weights(config, symbols) + size.pair_flops * (time + 1) // 2 + size.token_flops
