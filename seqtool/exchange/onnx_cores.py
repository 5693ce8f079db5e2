"""A step of each core as a graph: the equations of its file in models/cores, of one token, written in ONNX's operators.

Shapes: B batch, C width, E input, G gates, H heads (or hidden), D width of a head, S tokens so far, W tokens of a
window, K taps.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seqtool.exchange.onnx_graph import BATCH, Graph
from seqtool.models.cores.block import PositionWise
from seqtool.models.cores.core import Core
from seqtool.models.cores.mixers import GatedDeltaNet, MinGru, WindowAttention
from seqtool.models.cores.recurrent import Recurrent
from seqtool.models.cores.stack import Stack
from seqtool.models.cores.transformer import SelfAttention, Transformer
from seqtool.models.cores.window import DenseWindow
from seqtool.models.delta_rule import LENGTH_EPSILON
from seqtool.models.inputs import Inputs

SO_FAR = "tokens so far"
ACTIVATIONS = {"tanh": "Tanh", "relu": "Relu", "sigmoid": "Sigmoid"}


def core_step(graph: Graph, inputs: Inputs, core: Core, activation: str) -> str:
    """Features (B, C) after one more token, whose ids (B,) are the graph's `ids`, with the states it needs."""
    find = next((write for kind, write in STEPS.items() if isinstance(core, kind)), None)
    if find is None:
        raise NotImplementedError(f"{type(core).__name__} has no step in ONNX's operators")
    return find(graph, inputs, core, activation)


def _ids_with_before(graph: Graph, inputs: Inputs) -> str:
    """The ids of the tokens that are looked back to, oldest first, and the new one, (B, L + 1); these are a state."""
    newest = graph.shaped("ids", -1, 1)
    if not inputs.lookback:
        return newest
    before = graph.state("before", (BATCH, inputs.lookback), inputs.begin_id, whole=True)
    ids = graph.joined(before, newest, axis=1)
    graph.becomes(graph.without_first(ids, 1))
    return ids


def _vectors(graph: Graph, inputs: Inputs) -> str:
    """The input vector of the new token, (B, E): with a stem the sum of a row for each of its places."""
    assert inputs.embedding is not None
    if inputs.stem == 1:
        return graph.rows(graph.constant(inputs.embedding.weight), "ids")
    tables = [table.weight for table in (inputs.embedding, *inputs.embeddings_before)]
    ids = _ids_with_before(graph, inputs)
    offsets = torch.arange(inputs.stem - 1, -1, -1) * inputs.symbols  # the oldest is in the last table
    rows = graph.rows(graph.constant(torch.cat(tables)), graph.add(ids, graph.constant(offsets)))
    return graph.summed(rows, 1)


def _recurrent(graph: Graph, inputs: Inputs, core: Recurrent, activation: str) -> str:
    y = ""
    for number, layer in enumerate(core.layers):
        W_ih, W_hh, b_ih, b_hh = layer.weights
        if number == 0 and inputs.embedding is None:
            x = graph.rows(graph.constant(W_ih.t() + b_ih), "ids")
        else:
            x = graph.linear(y if number else _vectors(graph, inputs), W_ih, b_ih)
        shape = (BATCH, layer.hidden)
        h = graph.state(f"layer{number}.h", shape)
        recurred = graph.linear(h, W_hh, b_hh)
        if core.states == 2:
            c = graph.state(f"layer{number}.c", shape)
            y, c = _lstm(graph, graph.add(x, recurred), c, layer.hidden)
            graph.becomes(y)
            graph.becomes(c)
            continue
        if len(b_hh) == 3 * layer.hidden:
            y = _gru(graph, x, recurred, h, layer.hidden)
        else:
            y = graph.op(ACTIVATIONS[layer.activation], graph.add(x, recurred))
        graph.becomes(y)
    return y


def _lstm(graph: Graph, gates: str, c: str, width: int) -> tuple[str, str]:
    i, f, g, o = graph.split(gates, *[width] * 4)
    kept = graph.times(graph.op("Sigmoid", f), c)
    c = graph.add(kept, graph.times(graph.op("Sigmoid", i), graph.op("Tanh", g)))
    return graph.times(graph.op("Sigmoid", o), graph.op("Tanh", c)), c


def _gru(graph: Graph, x: str, recurred: str, h: str, width: int) -> str:
    x_r, x_z, x_n = graph.split(x, *[width] * 3)
    h_r, h_z, h_n = graph.split(recurred, *[width] * 3)
    r, z = (graph.op("Sigmoid", graph.add(a, b)) for a, b in ((x_r, h_r), (x_z, h_z)))
    n = graph.op("Tanh", graph.add(x_n, graph.times(r, h_n)))
    return _between(graph, n, h, z)


def _between(graph: Graph, a: str, b: str, share: str) -> str:
    """a + share (b - a)."""
    return graph.add(a, graph.times(share, graph.op("Sub", b, a)))


def _window(graph: Graph, inputs: Inputs, core: DenseWindow, activation: str) -> str:
    first, ids = core.layers[0], _ids_with_before(graph, inputs)
    if inputs.embedding is None:
        columns_KVH = first.weight.t().unflatten(0, (core.places, -1))
        offsets = torch.arange(core.places) * inputs.symbols
        rows = graph.rows(graph.constant(columns_KVH.flatten(0, 1)), graph.add(ids, graph.constant(offsets)))
        y = graph.add(graph.summed(rows, 1), graph.constant(first.bias))
    else:
        rows = graph.rows(graph.constant(inputs.embedding.weight), ids)
        y = graph.linear(graph.shaped(rows, 0, -1), first.weight, first.bias)
    for layer in core.layers[1:]:
        y = graph.linear(graph.op(ACTIVATIONS[activation], y), layer.weight, layer.bias)
    return str(graph.op(ACTIVATIONS[activation], y))


def _feedforward(graph: Graph, x: str, net: PositionWise) -> str:
    up = graph.linear(x, net.up.weight, net.up.bias)
    if net.kind == "swiglu":
        gate, value = graph.split(up, *[net.down.in_features] * 2)
        inner = graph.times(graph.silu(gate), value)
    else:
        inner = graph.op("Relu", up) if net.kind == "relu" else graph.gelu(up, by_tangent=net.kind == "gelu-tanh")
    return graph.linear(inner, net.down.weight, net.down.bias)


def _block(graph: Graph, x: str, block: Any, mix: Callable[[str], str]) -> str:
    x = graph.add(x, mix(graph.norm(x, getattr(block, f"{block.name}_norm"))))
    return graph.add(x, _feedforward(graph, graph.norm(x, block.feedforward_norm), block.feedforward))


def _transformer(graph: Graph, inputs: Inputs, core: Transformer, activation: str) -> str:
    x = _vectors(graph, inputs)
    heads = core.layers[0].attention.heads
    width = core.layers[0].attention.output.in_features // heads
    past = [
        [graph.state(f"layer{number}.{name}", (BATCH, heads, SO_FAR, width)) for name in ("keys", "values")]
        for number in range(len(core.layers))
    ]
    place = graph.op("Shape", past[0][0], start=2, end=3)  # of the new token: how many were before
    rotation = None
    if core.position == "rope":
        tables = core.positions_until(core.context)[:, : core.context]
        rotation = [graph.rows(graph.constant(table_TD), place) for table_TD in tables]
    else:
        learned = core.position == "learned"
        table_TC = core.learned_positions.weight if learned else core.positions_until(core.context)[: core.context]
        x = graph.add(x, graph.rows(graph.constant(table_TC), place))
    for layer, (K, V) in zip(core.layers, past, strict=True):
        x = _block(
            graph, x, layer, functools.partial(_attention, graph, of=layer.attention, K=K, V=V, rotation=rotation)
        )
    return graph.norm(x, core.norm)


def _heads(graph: Graph, x: str, weight: Tensor, bias: Tensor | None, heads: int) -> list[str]:
    """Queries, keys and values, (B, H, 1, D) each, by a matrix (3 C, C) and its bias."""
    width = weight.shape[1]
    parts = graph.split(graph.linear(x, weight, bias), width, width, width)
    return [graph.shaped(part, -1, heads, 1, width // heads) for part in parts]


def _attention(graph: Graph, x: str, of: SelfAttention, K: str, V: str, rotation: list[str] | None) -> str:
    asks = of.queries_keys_values
    bias = None if asks.bias is None else of.of_each_head(asks.bias)
    q, k, v = _heads(graph, x, of.of_each_head(asks.weight), bias, of.heads)
    if rotation is not None:
        q, k = (_rotated(graph, part, rotation[0], rotation[1], of.output.in_features // of.heads) for part in (q, k))
    K, V = graph.joined(K, k, axis=2), graph.joined(V, v, axis=2)
    graph.becomes(K)
    graph.becomes(V)
    return graph.linear(_gathered(graph, q, K, V, of.output.in_features // of.heads), of.output.weight, of.output.bias)


def _rotated(graph: Graph, x: str, cos: str, sin: str, width: int) -> str:
    a, b = graph.split(x, width // 2, width // 2)
    first = graph.op("Sub", graph.times(a, cos), graph.times(b, sin))
    return graph.joined(first, graph.add(graph.times(a, sin), graph.times(b, cos)), axis=-1)


def _gathered(graph: Graph, q: str, K: str, V: str, width: int, hidden: str | None = None) -> str:
    """softmax(q K^T / sqrt(D)) V, (B, C), with a value to add to the scores (B, 1, 1, S) of keys that are hidden."""
    scores = graph.scaled(graph.op("MatMul", q, graph.op("Transpose", K, perm=[0, 1, 3, 2])), width**-0.5)
    if hidden is not None:
        scores = graph.add(scores, hidden)
    y_BH1D = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), V)
    return graph.shaped(y_BH1D, 0, -1)


def _stack(graph: Graph, inputs: Inputs, core: Stack, activation: str) -> str:
    x = _vectors(graph, inputs)
    for number, (layer, mixer) in enumerate(zip(core.layers, core.mixers, strict=True)):
        x = _block(graph, x, layer, _mixing(graph, mixer, f"layer{number}"))
    return graph.norm(x, core.norm)


def _mixing(graph: Graph, mixer: Any, name: str) -> Callable[[str], str]:
    """What a mixer makes of a vector."""
    return lambda x: MIXERS[type(mixer)](graph, x, mixer, name)


def _mingru(graph: Graph, x: str, mixer: MinGru, name: str) -> str:
    width = mixer.output.in_features
    sums, candidates = graph.split(graph.linear(x, mixer.gates_candidates.weight), width, width)
    h = graph.state(f"{name}.h", (BATCH, width))
    gate = graph.op("Sigmoid", graph.add(sums, graph.constant(mixer.gate_bias)))
    h = _between(graph, h, candidates, graph.scaled(gate, mixer.most))
    graph.becomes(h)
    return graph.linear(h, mixer.output.weight)


def _gated_delta(graph: Graph, x: str, mixer: GatedDeltaNet, name: str) -> str:
    C, H = mixer.output.in_features, mixer.heads
    D, K, M = C // H, len(mixer.convolution), mixer.mirrors
    F = mixer.queries_keys_values.out_features
    table = graph.state(f"{name}.table", (BATCH, H, D, D))
    qkv = graph.shaped(graph.linear(x, mixer.queries_keys_values.weight), -1, 1, F)
    if K > 1:
        seen = graph.joined(graph.state(f"{name}.before", (BATCH, K - 1, F)), qkv, axis=1)
    else:
        seen = qkv
    convolved = graph.silu(graph.summed(graph.times(seen, graph.constant(mixer.convolution)), 1))
    q, *of_mirrors = (graph.shaped(part, -1, H, 1, D) for part in graph.split(convolved, *[C] * (1 + 2 * M)))
    q = graph.over_root(q, LENGTH_EPSILON, "ReduceSum")
    gate, decay, *betas = graph.split(graph.linear(x, mixer.gates.weight), C, *[H] * (1 + M))
    rate = graph.op("Softplus", graph.add(decay, graph.constant(mixer.decay_bias)))
    alpha = graph.op("Exp", graph.times(rate, graph.constant(-mixer.log_decay.exp())))
    table = graph.times(graph.shaped(alpha, -1, H, 1, 1), table)
    for k, v, beta in zip(of_mirrors[::2], of_mirrors[1::2], betas, strict=True):
        k = graph.over_root(k, LENGTH_EPSILON, "ReduceSum")
        share = graph.shaped(graph.scaled(graph.op("Sigmoid", beta), mixer.most), -1, H, 1, 1)
        written = graph.times(share, graph.op("Sub", v, graph.op("MatMul", k, table)))
        table = graph.add(table, graph.op("MatMul", graph.op("Transpose", k, perm=[0, 1, 3, 2]), written))
    graph.becomes(table)
    if K > 1:
        graph.becomes(graph.without_first(seen, 1))
    found = graph.scaled(graph.op("MatMul", q, table), 1 / math.sqrt(D))
    o = graph.times(graph.norm(found, mixer.head_norm), graph.shaped(graph.silu(gate), -1, H, 1, D))
    return graph.linear(graph.shaped(o, 0, -1), mixer.output.weight)


def _window_attention(graph: Graph, x: str, mixer: WindowAttention, name: str) -> str:
    W, D = mixer.window, mixer.width
    shape = (BATCH, mixer.heads, W, D)
    K, V = (graph.state(f"{name}.{part}", shape) for part in ("keys", "values"))
    count = graph.state(f"{name}.count", (BATCH,), whole=True)
    q, k, v = _heads(graph, x, mixer.queries_keys_values.weight, None, mixer.heads)
    K, V = (graph.without_first(graph.joined(*pair, axis=2), 2) for pair in ((K, k), (V, v)))
    graph.becomes(K)
    graph.becomes(V)
    one, most = graph.constant([1]), graph.constant([W])
    graph.becomes(graph.op("Min", graph.add(count, one), most))
    cos_TD, sin_TD = mixer.rotations_until(W + 1)[:, 1 : W + 1]  # the new token is the last of the window
    q = _rotated(graph, q, graph.constant(cos_TD[-1]), graph.constant(sin_TD[-1]), D)
    K = _rotated(graph, K, graph.constant(cos_TD), graph.constant(sin_TD), D)
    first = graph.shaped(graph.op("Sub", graph.constant([W - 1]), count), -1, 1, 1, 1)  # that is there
    unseen = graph.op("Less", graph.constant(torch.arange(W)), first)
    hidden = graph.op("Where", unseen, graph.constant(-math.inf), graph.constant(0.0))
    return graph.linear(_gathered(graph, q, K, V, D, hidden), mixer.output.weight)


STEPS: dict[type[Core], Callable[[Graph, Inputs, Any, str], str]] = {
    Recurrent: _recurrent,
    DenseWindow: _window,
    Transformer: _transformer,
    Stack: _stack,
}
MIXERS: dict[type[Any], Callable[[Graph, str, Any, str], str]] = {
    MinGru: _mingru,
    GatedDeltaNet: _gated_delta,
    WindowAttention: _window_attention,
}
