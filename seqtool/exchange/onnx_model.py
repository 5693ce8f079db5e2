"""A run as an ONNX graph of one step: the ids of B tokens and the states before them to logits and the states after.

A text begins with `<s>` and the states that the file's metadata say, in JSON by the name `seqtool`: `begin_id`; for
each state its `shape`, in which a dimension with a name is as long as is needed, and `begin`, what it is filled with;
and the `context`, the most tokens that may be given, where there is such a number: one more ends the run with an error.

Shapes: B batch, V vocabulary, S symbols that are learned to be predicted, C features.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch

from seqtool.errors import UsageError
from seqtool.exchange.layouts import net_of
from seqtool.exchange.onnx_cores import core_step
from seqtool.exchange.onnx_graph import BATCH, IR_VERSION, OPSET, Graph
from seqtool.files.writing import provenance
from seqtool.models.heads import SoftmaxHead
from seqtool.models.language_model import LanguageModel
from seqtool.runs.loading import Run

FORMAT = "onnx"
MOST_BYTES = 2**31 - 2**20  # of a protocol buffer, with room for what is no weight


def check_net(run: Run) -> LanguageModel:
    """The net of a run; UsageError where it has none, or one that no single file holds."""
    net = net_of(run)
    size = sum(parameter.numel() * 4 for parameter in net.parameters())
    if size > MOST_BYTES:
        raise UsageError(f"{run.path} has {size:,} bytes of weights, and an ONNX file holds 2 GB: export it --to gguf")
    return net


@torch.no_grad()
def step_graph(model: LanguageModel) -> Graph:
    """The graph of a step, whose last node gives the logits."""
    graph = Graph()
    features_BC = core_step(graph, model.inputs, model.core, model.config.activation)
    graph.op("Identity", _logits(graph, features_BC, model.head))
    return graph


def _logits(graph: Graph, x_BC: str, head: SoftmaxHead) -> str:
    """Logits (B, V): those of the unseen symbols, together, lie log(tokens) under the log-sum of the seen."""
    if head.narrow is not None:
        x_BC = graph.linear(x_BC, head.narrow.weight)
    logits_BS = graph.linear(x_BC, head.weight, head.bias)
    V, S = head.symbols.size, head.symbols.seen
    if S == V:
        return logits_BS
    mass_B1 = graph.op("ReduceLogSumExp", logits_BS, graph.constant([-1]), keepdims=1)
    rest_B1 = graph.op("Sub", mass_B1, graph.constant(math.log(head.symbols.tokens * (V - S))))
    places_V = torch.full((V,), S)
    places_V[head.seen_ids] = torch.arange(S)
    return str(graph.op("Gather", graph.joined(logits_BS, rest_B1, axis=1), graph.constant(places_V), axis=1))


def write_onnx(path: Path, run: Run) -> dict[str, Any]:
    """Write a run's net as the file `path`; what was written. UsageError as `check_net` has it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = check_net(run)
    graph = step_graph(model)
    kinds = {False: TensorProto.FLOAT, True: TensorProto.INT64}
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, [BATCH])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [BATCH, model.vocab_size])]
    graph.nodes[-1].output[0] = "logits"
    for state, value in zip(graph.states, graph.after, strict=True):
        inputs.append(helper.make_tensor_value_info(state.name, kinds[state.whole], state.shape))
        after = [f"{size} and this" if isinstance(size, str) and size != BATCH else size for size in state.shape]
        outputs.append(helper.make_tensor_value_info(f"{state.name}.after", kinds[state.whole], after))
        graph.nodes.append(helper.make_node("Identity", [value], [f"{state.name}.after"]))
    weights = [numpy_helper.from_array(values, name) for name, values in graph.weights.items()]
    built = helper.make_model(
        helper.make_graph(graph.nodes, run.config.name, inputs, outputs, weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="seqtool",
    )
    states = {state.name: {"shape": list(state.shape), "begin": state.begin} for state in graph.states}
    told = {
        "begin_id": model.begin_id,
        "context": model.context,
        "vocabulary_sha256": run.vocabulary.sha256,
        "states": states,
        "made_by": provenance(),
    }
    helper.set_model_props(built, {"seqtool": json.dumps(told)})
    onnx.checker.check_model(built, full_check=True)
    onnx.save_model(built, str(path))
    return {"states": list(states), "vocab_size": model.vocab_size, "context": model.context}
