"""The calls into step.c, against torch; what a transformer's blocks make of them is in test_transformer.py."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seqtool.models.decoding import compiled_step
from seqtool.models.decoding.compiled_step import BYTES_A_THREAD, Blocks, matrix, product, step_library, threads_for

needs_compiler = pytest.mark.skipif(step_library() is None, reason="step.c was not compiled")
ROWS, WIDTH, OUT = 3, 37, 11


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@needs_compiler
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int8])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_product_is_that_of_the_numbers_kept(kind: torch.dtype, threads: int):
    """Of x as well that is not contiguous, and plus a vector or a row for each row."""
    weights = (drawn(OUT, WIDTH) * 20).to(kind)
    scales = drawn(OUT, seed=1).abs() if kind == torch.int8 else None
    x = drawn(WIDTH, ROWS, seed=2).t()
    expected = x @ (weights.float() if scales is None else weights.float() * scales.unsqueeze(1)).t()
    described = matrix(weights, scales)
    for plus in (None, drawn(OUT, seed=3), drawn(OUT, ROWS, seed=4).t()):
        found = product(step_library(), described, x, plus, threads)
        torch.testing.assert_close(found, expected if plus is None else expected + plus, rtol=1e-5, atol=1e-4)


def test_only_contiguous_weights_can_be_described():
    with pytest.raises(AssertionError):
        matrix(drawn(4, 3).t(), None)


def test_more_weights_are_read_by_more_threads(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert [threads_for(part * BYTES_A_THREAD) for part in (0, 1, 3, 9)] == [1, 1, 3, 4]


@needs_compiler
@pytest.mark.parametrize("most_rows", [1, 1000], ids=["many rows", "few rows"])
def test_each_row_attends_to_its_own_columns(monkeypatch: pytest.MonkeyPatch, most_rows: int):
    """A row sees the columns from its first one to the newest, whose keys and values are put into the buffer."""
    monkeypatch.setattr(compiled_step, "MOST_ROWS", most_rows)
    heads, head_width, columns, at, firsts = 2, 4, 6, 3, [0, 2]
    width = heads * head_width
    shapes = {"qkv": (3 * width, width), "gathered": (width, width), "up": (width, width), "down": (width, width)}
    kept = {name: drawn(*shape) for name, shape in shapes.items()}
    norms = (nn.LayerNorm(width), nn.LayerNorm(width))
    blocks = Blocks(
        step_library(),
        [{name: matrix(weights, None) for name, weights in kept.items()}],
        [norms],
        heads=heads,
        activation="relu",
        weight_bytes=0,
    )
    kv, qkv = drawn(2, 2, heads, columns, head_width, seed=1), drawn(2, 3 * width, seed=2)
    buffer = kv.clone()
    blocks.see([buffer], firsts)
    found = blocks.attend(0, qkv.clone(), at, None)
    q, k, v = qkv.view(2, 3, heads, head_width).unbind(1)
    kv[:, 0, :, at], kv[:, 1, :, at] = k, v
    for row, first in enumerate(firsts):
        keys, values = kv[row, :, :, first : at + 1]
        scores = (keys @ q[row].unsqueeze(-1)).squeeze(-1) / head_width**0.5
        gathered = (scores.softmax(-1).unsqueeze(1) @ values).flatten()
        torch.testing.assert_close(found[row], gathered, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(buffer[:, :, :, at], kv[:, :, :, at])
