"""Operators of a graph against torch, by onnxruntime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.exchange.onnx_graph import IR_VERSION, OPSET, Graph

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")


def computed(write: Callable[[Graph, str], str], x: Tensor) -> Tensor:
    graph = Graph()
    name = write(graph, "x")
    helper = onnx.helper
    told = [helper.make_tensor_value_info(given, onnx.TensorProto.FLOAT, None) for given in ("x", name)]
    weights = [onnx.numpy_helper.from_array(values, given) for given, values in graph.weights.items()]
    built = helper.make_graph(graph.nodes, "one", told[:1], told[1:], weights)
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    session = runtime.InferenceSession(model.SerializeToString())
    return torch.from_numpy(session.run([name], {"x": x.numpy()})[0])


NORMS = {"layer": nn.LayerNorm(6), "rms": nn.RMSNorm(6), "rms with epsilon": nn.RMSNorm(6, eps=1e-2)}


@pytest.mark.parametrize("name", NORMS)
def test_norms_are_torchs(name: str):
    norm, x = NORMS[name], torch.randn(3, 6)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.normal_()
        torch.testing.assert_close(computed(lambda g, v: g.norm(v, norm), x), norm(x))


def test_activations_and_products_are_torchs():
    x, W, b = torch.randn(3, 6), torch.randn(4, 6), torch.randn(4)
    torch.testing.assert_close(computed(Graph.gelu, x), F.gelu(x))
    torch.testing.assert_close(computed(Graph.silu, x), F.silu(x))
    torch.testing.assert_close(computed(lambda g, v: g.linear(v, W, b), x), F.linear(x, W, b))
    torch.testing.assert_close(computed(lambda g, v: g.without_first(v, 1), x), x[:, 1:])
    torch.testing.assert_close(
        computed(lambda g, v: g.over_root(v, 0.5, "ReduceSum"), x), x / (x.square().sum(-1, True) + 0.5).sqrt()
    )


def test_constants_are_float32_or_int64():
    graph = Graph()
    graph.constant(torch.ones(2, dtype=torch.float64))
    graph.constant([1, 2])
    graph.constant(0.5)
    assert [values.dtype for values in graph.weights.values()] == [np.float32, np.int64, np.float32]
