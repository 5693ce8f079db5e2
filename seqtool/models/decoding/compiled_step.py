"""step.c, called on tensors: products with a few vectors, and a token's way through a transformer's blocks.

It is compiled when seqtool is installed, where there is a C compiler. `step_library()` is None where it was not, and
products.py and steps.py then do the same in torch operations.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seqtool.native import loading
from seqtool.native.loading import Count, Pointer, Real

MOST_ROWS = 4  # vectors; for more, a library's matrix product does better
BYTES_A_THREAD = 3 << 18  # of weights, read between two meetings of the threads, that are worth another thread
MEETINGS = 4  # of the threads in each block
KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.int8: 2}
ACTIVATIONS = {"relu": 0, "gelu": 1, "swiglu": 2}
MOST_HEAD = 256  # width of a head of gdn; step.c says the same


class Matrix(ctypes.Structure):
    """Weights (out, in), with a scale for each row of int8."""

    _fields_ = [("weights", Pointer), ("scales", Pointer), ("kind", Count), ("out", Count), ("in_", Count)]


class Block(ctypes.Structure):
    """A transformer's block: its products, norms, and buffer of keys and values."""

    _fields_ = [
        *((name, Matrix) for name in ("qkv", "gathered", "up", "down")),
        *((f"{norm}_{part}", Pointer) for norm in ("attention", "feedforward") for part in ("gain", "bias")),
        ("kv", Pointer),
    ]


class StateBlock(ctypes.Structure):
    """A block whose mixer has a state of one size: its products, norms, what else the mixer learned, and its state."""

    _fields_ = [
        *((name, Matrix) for name in ("read", "gathered", "up", "down")),
        *((f"{norm}_{part}", Pointer) for norm in ("mixer", "feedforward") for part in ("gain", "bias")),
        *((name, Pointer) for name in ("bias", "rates", "taps", "head_gain", "state", "before")),
        *((name, Count) for name in ("mixer", "convolution", "mirrors")),
        ("most", Real),
    ]


class Ends(ctypes.Structure):
    """What lies before blocks with states and behind them: the stem's tables, and the last norm."""

    _fields_ = [
        *((name, Pointer) for name in ("tables", "gain", "bias")),
        *((name, Count) for name in ("symbols", "places")),
    ]


class Sizes(ctypes.Structure):
    """What all blocks have in common."""

    _fields_ = [
        *(
            (name, Count)
            for name in ("blocks", "rows", "heads", "head_width", "columns", "activation", "rms", "threads")
        ),
        *((name, Real) for name in ("epsilon", "head_epsilon", "length_epsilon")),
    ]


def step_library() -> ctypes.CDLL | None:
    """The compiled step.c, or None."""
    return loading.part("step")


def matrix(weights: Tensor, scales: Tensor | None) -> Matrix:
    """Describe weights (out, in), contiguous, which must outlive the description."""
    assert weights.is_contiguous()
    out, width = weights.shape
    return Matrix(weights.data_ptr(), _address(scales), KINDS[weights.dtype], out, width)


def _address(tensor: Tensor | None) -> int | None:
    """Where a contiguous tensor's numbers are; NULL for none."""
    return None if tensor is None else tensor.data_ptr()


def threads_for(weight_bytes: int) -> int:
    """How many threads to read so many bytes of weights with."""
    return max(1, min(torch.get_num_threads(), weight_bytes // BYTES_A_THREAD))


def product(library: ctypes.CDLL, by: Matrix, x_BI: Tensor, plus: Tensor | None, threads: int) -> Tensor:
    """x W^T + plus, (B, O); plus is (O,) or (B, O)."""
    x_BI = x_BI.contiguous()
    y_BO = x_BI.new_empty(len(x_BI), by.out)
    added, stride = (None, 0) if plus is None else (plus.contiguous(), by.out if plus.dim() == 2 else 0)
    library.seqtool_product(
        y_BO.data_ptr(),
        ctypes.addressof(by),
        x_BI.data_ptr(),
        _address(added),
        stride,
        len(x_BI),
        threads,
    )
    return y_BO


class Blocks:
    """The blocks of a transformer, ready to step."""

    def __init__(
        self,
        library: ctypes.CDLL,
        products: Sequence[dict[str, Matrix]],
        norms: Sequence[tuple[nn.Module, nn.Module]],
        heads: int,
        activation: str,
        weight_bytes: int,
    ) -> None:
        self._library = library
        self._threads = threads_for(weight_bytes // (MEETINGS * len(products)))
        self._kept: list[Tensor] = []  # what step.c has addresses of
        self._blocks = (Block * len(products))()
        for block, parts, pair in zip(self._blocks, products, norms, strict=True):
            for name, part in parts.items():
                setattr(block, name, part)
            self._kept += _set_norms(block, ("attention", "feedforward"), pair)
        self._sizes = _sizes(len(products), products[0]["gathered"].out, heads, activation, norms[0][0])

    def see(self, buffers: Sequence[Tensor], firsts: Sequence[int]) -> None:
        """Use these buffers (B, 2, H, W, D), of which each row sees the columns from its first one on."""
        self._sizes.rows, self._sizes.columns = len(buffers[0]), buffers[0].shape[3]
        for block, buffer in zip(self._blocks, buffers, strict=True):
            block.kv = buffer.data_ptr()
        self._firsts = torch.tensor(firsts)
        self._buffers = list(buffers)
        self._few = len(buffers[0]) <= MOST_ROWS
        self._sizes.threads = self._threads if self._few else torch.get_num_threads()
        self._scratch = torch.empty(
            self._library.seqtool_scratch(ctypes.addressof(self._blocks), ctypes.addressof(self._sizes))
            if self._few
            else self._sizes.threads * self._sizes.columns
        )

    def attend(self, number: int, qkv_B3C: Tensor, at: int, rotation: Tensor | None) -> Tensor:
        """What the token at column `at` gathers in one block, (B, C), from its queries, keys and values, (B, 3C), which
        are turned in place; everything given is contiguous.
        """
        y_BC = qkv_B3C.new_empty(len(qkv_B3C), qkv_B3C.shape[1] // 3)
        self._library.seqtool_attend(
            y_BC.data_ptr(),
            qkv_B3C.data_ptr(),
            self._buffers[number].data_ptr(),
            ctypes.addressof(self._sizes),
            at,
            self._firsts.data_ptr(),
            _address(rotation),
            self._scratch.data_ptr(),
        )
        return y_BC

    def step(self, x_BC: Tensor, at: int, rotation: Tensor | None) -> Tensor:
        """(B, C) through all blocks, in place, for the token at column `at`; rotation (B, D/2) turns pairs as complex
        numbers; everything given is contiguous.
        """
        self._library.seqtool_blocks(
            x_BC.data_ptr(),
            ctypes.addressof(self._blocks),
            ctypes.addressof(self._sizes),
            at,
            self._firsts.data_ptr(),
            _address(rotation),
            self._scratch.data_ptr(),
        )
        return x_BC


class MixerWeights(NamedTuple):
    """What a block's mixer learned, as step.c reads it: contiguous, in fp32; what it does not have is None."""

    kind: int
    """Of step.c's enum mixer."""
    most: float
    bias: Tensor
    rates: Tensor | None = None
    taps: Tensor | None = None
    head_gain: Tensor | None = None
    mirrors: int = 1
    """Steps of gdn for each token."""


class StateBlocks:
    """Blocks of mingru and gdn, ready to step; the states that they are shown change in place."""

    def __init__(
        self,
        library: ctypes.CDLL,
        products: Sequence[dict[str, Matrix]],
        norms: Sequence[tuple[nn.Module, nn.Module]],
        mixers: Sequence[MixerWeights],
        tables: Tensor,
        stem: int,
        last_norm: nn.Module,
        heads: int,
        activation: str,
        weight_bytes: int,
        head_epsilon: float,
        length_epsilon: float,
    ) -> None:
        self._library = library
        self._kept: list[Tensor] = []  # what step.c has addresses of
        self._blocks = (StateBlock * len(products))()
        for block, parts, pair, mixer in zip(self._blocks, products, norms, mixers, strict=True):
            for name, part in parts.items():
                setattr(block, name, part)
            self._kept += _set_norms(block, ("mixer", "feedforward"), pair)
            block.mixer, block.most, block.mirrors = mixer.kind, mixer.most, mixer.mirrors
            block.convolution = 0 if mixer.taps is None else len(mixer.taps)
            for name in ("bias", "rates", "taps", "head_gain"):
                tensor: Tensor | None = getattr(mixer, name)
                if tensor is not None:
                    assert tensor.is_contiguous()
                    self._kept.append(tensor)
                    setattr(block, name, tensor.data_ptr())
        assert tables.is_contiguous()
        self._ends = Ends(tables=tables.data_ptr(), symbols=len(tables) // stem, places=stem)
        self._kept += [tables, *_set_norm(self._ends, "", last_norm)]
        self._widest = max(parts["read"].out for parts in products)
        self._sizes = _sizes(len(products), products[0]["gathered"].out, heads, activation, norms[0][0])
        self._sizes.head_epsilon, self._sizes.length_epsilon = head_epsilon, length_epsilon
        self._sizes.threads = threads_for(weight_bytes // (MEETINGS * len(products)))
        # Taken once: for a small model what a step costs outside of C is as much as what it does.
        self._addresses = [ctypes.addressof(part) for part in (self._blocks, self._sizes, self._ends)]

    def see(self, states: Sequence[Sequence[Tensor]]) -> None:
        """Use these states of the blocks' mixers, contiguous, in fp32."""
        self._sizes.rows = len(states[0][0])
        self._states = states
        for block, state in zip(self._blocks, states, strict=True):
            assert all(part.is_contiguous() and part.dtype == torch.float32 for part in state)
            block.state = state[0].data_ptr()
            block.before = state[1].data_ptr() if len(state) > 1 else None
        self._scratch = torch.empty(self._library.seqtool_state_scratch(*self._addresses[:2], self._widest))

    def step(self, ids_BP: Tensor) -> Tensor:
        """Features (B, C) after the last of these tokens, contiguous; the states are those after it."""
        assert ids_BP.dtype == torch.long
        features_BC = torch.empty(self._sizes.rows, self._sizes.heads * self._sizes.head_width)
        blocks, sizes, ends = self._addresses
        done = self._library.seqtool_state_blocks(
            features_BC.data_ptr(), ids_BP.data_ptr(), blocks, sizes, ends, self._widest, self._scratch.data_ptr()
        )
        assert done, "an id is none of the vocabulary's"
        return features_BC


def _set_norms(block: Block | StateBlock, names: tuple[str, str], norms: tuple[nn.Module, nn.Module]) -> list[Tensor]:
    """Say where the weights of a block's norms are; these weights, which must live as long."""
    return [part for name, norm in zip(names, norms, strict=True) for part in _set_norm(block, f"{name}_", norm)]


def _set_norm(structure: ctypes.Structure, name: str, norm: nn.Module) -> list[Tensor]:
    kept = []
    for ours, theirs in (("gain", "weight"), ("bias", "bias")):
        tensor: Tensor | None = getattr(norm, theirs, None)
        if tensor is not None:
            kept.append(tensor.detach())
            setattr(structure, f"{name}{ours}", tensor.data_ptr())
    return kept


def _sizes(blocks: int, width: int, heads: int, activation: str, norm: nn.Module) -> Sizes:
    """What all blocks have in common, but for rows, columns and threads."""
    return Sizes(
        blocks=blocks,
        heads=heads,
        head_width=width // heads,
        activation=ACTIVATIONS[activation],
        rms=isinstance(norm, nn.RMSNorm),
        epsilon=getattr(norm, "eps", None) or torch.finfo(torch.float32).eps,
    )
