"""Building an ONNX graph, an operator at a time: names of values go in and a name comes out.

Shapes: B batch, C width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

OPSET, IR_VERSION = 18, 9
BATCH = "batch"


class GraphState(NamedTuple):
    """A part of the state: the name it comes in by, its shape, and what it is filled with at a text's beginning."""

    name: str
    shape: tuple[int | str, ...]
    """A word is a dimension that differs from call to call; at a text's beginning there are none in it but of BATCH."""
    begin: int = 0
    whole: bool = False
    """Whether it holds whole numbers."""


class Graph:
    """The nodes and weights of a graph of one step of B sequences."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: dict[str, npt.NDArray[Any]] = {}
        self.states: list[GraphState] = []
        self.after: list[str] = []
        """The values of the states after the step."""

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """The name of what an operator gives; of several outputs a list of names."""
        from onnx import helper

        names = [f"v{len(self.nodes)}_{place}" for place in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values: Tensor | npt.NDArray[Any] | float | Sequence[int]) -> str:
        """A weight or constant: tensors and a float as float32, whole numbers as int64."""
        if isinstance(values, float):
            values = np.array(values, np.float32)
        elif isinstance(values, Tensor):
            values = values.detach().cpu().float().numpy() if values.is_floating_point() else values.cpu().numpy()
        array = np.asarray(values)
        name = f"w{len(self.weights)}"
        self.weights[name] = np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else np.int64)
        return name

    def state(self, name: str, shape: tuple[int | str, ...], begin: int = 0, *, whole: bool = False) -> str:
        """A part of the state, whose value after the step is to be given by `becomes`."""
        self.states.append(GraphState(name, shape, begin, whole))
        return name

    def becomes(self, value: str) -> None:
        """The value after the step of the first state that has none yet."""
        self.after.append(value)

    def linear(self, x_BC: str, W_OC: Tensor, bias_O: Tensor | None = None) -> str:
        """x W^T + bias, (B, O)."""
        y: str = self.op("MatMul", x_BC, self.constant(W_OC.t()))
        return y if bias_O is None else self.add(y, self.constant(bias_O))

    def add(self, a: str, b: str) -> str:
        """a + b."""
        return str(self.op("Add", a, b))

    def times(self, a: str, b: str) -> str:
        """a b, number by number."""
        return str(self.op("Mul", a, b))

    def scaled(self, a: str, factor: float) -> str:
        """a times a number."""
        return self.times(a, self.constant(factor))

    def silu(self, x: str) -> str:
        """x sigmoid(x)."""
        return self.times(x, self.op("Sigmoid", x))

    def gelu(self, x: str, by_tangent: bool = False) -> str:
        """x times the normal distribution function of x, or that by its approximation with a hyperbolic tangent."""
        if by_tangent:
            cubed = self.times(x, self.times(x, x))
            inside = self.scaled(self.add(x, self.scaled(cubed, 0.044715)), math.sqrt(2 / math.pi))
            return self.scaled(self.times(x, self.add(str(self.op("Tanh", inside)), self.constant(1.0))), 0.5)
        share = self.op("Erf", self.scaled(x, 1 / math.sqrt(2)))
        return self.scaled(self.times(x, self.add(share, self.constant(1.0))), 0.5)

    def shaped(self, x: str, *shape: int) -> str:
        """Another shape; -1 stands for one dimension that is as long as needed, 0 for one that stays."""
        return str(self.op("Reshape", x, self.constant(list(shape))))

    def split(self, x: str, *widths: int) -> list[str]:
        """Parts of the last dimension."""
        return list(self.op("Split", x, self.constant(list(widths)), outputs=len(widths), axis=-1))

    def joined(self, *parts: str, axis: int) -> str:
        """Values one after the other."""
        return str(self.op("Concat", *parts, axis=axis))

    def without_first(self, x: str, axis: int) -> str:
        """All but the first along an axis."""
        ends = [self.constant([number]) for number in (1, np.iinfo(np.int64).max, axis)]
        return str(self.op("Slice", x, *ends))

    def summed(self, x: str, axis: int, *, keep: bool = False) -> str:
        """The sum along an axis."""
        return str(self.op("ReduceSum", x, self.constant([axis]), keepdims=int(keep)))

    def rows(self, table: str, ids: str) -> str:
        """Rows of a table; one that it has not ends the run with an error."""
        return str(self.op("Gather", table, ids, axis=0))

    def norm(self, x: str, norm: nn.Module) -> str:
        """LayerNorm or RMSNorm over the last dimension, as torch has it."""
        assert isinstance(norm, (nn.LayerNorm, nn.RMSNorm))
        weight = self.constant(norm.weight)
        epsilon = float(np.finfo(np.float32).eps) if norm.eps is None else norm.eps
        if isinstance(norm, nn.LayerNorm):
            bias = self.constant(norm.bias)
            return str(self.op("LayerNormalization", x, weight, bias, axis=-1, epsilon=epsilon))
        return self.times(self.over_root(x, epsilon, "ReduceMean"), weight)

    def over_root(self, x: str, epsilon: float, reduce: str) -> str:
        """x over the root of what the squares of its last dimension are reduced to: their mean or their sum."""
        square = self.op(reduce, self.times(x, x), self.constant([-1]), keepdims=1)
        return str(self.op("Div", x, self.op("Sqrt", self.add(square, self.constant(epsilon)))))
