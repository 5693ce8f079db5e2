"""The short convolution: scan.c against torch operations, and these against the sum."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from seqtool.models import scan
from seqtool.models.convolution import MOST_TAPS, short_convolution, short_convolution_reference
from tests.models.test_scan import difference


def drawn(rows: int, time: int, width: int, taps: int) -> list[torch.Tensor]:
    """x, the inputs before and the weights, to be learned."""
    draws = torch.Generator().manual_seed(0)
    shapes = [(rows, time, width), (rows, taps - 1, width), (taps, width)]
    return [torch.randn(shape, generator=draws).requires_grad_() for shape in shapes]


def test_each_output_is_a_weighed_sum_of_the_last_inputs():
    x_BTH, before_BKH, weight_KH = (part.detach() for part in drawn(2, 6, 3, 4))
    found = short_convolution_reference(x_BTH, before_BKH, weight_KH)
    seen = torch.cat([before_BKH, x_BTH], 1)
    for t in range(6):
        sums = sum(weight_KH[k] * seen[:, t + k] for k in range(4))
        torch.testing.assert_close(found[:, t], F.silu(sums))


@pytest.mark.parametrize("taps", [1, 2, 4, MOST_TAPS])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 21), (2, 40, 32)], ids=str)
def test_compiled_outputs_and_gradients_are_torchs(shape: tuple[int, int, int], taps: int):
    if scan.scan_library() is None:
        pytest.skip("scan.c was not compiled")
    found = []
    for form in (lambda *given: short_convolution(*given)[0], short_convolution_reference):
        given = drawn(*shape, taps)
        y_BTH = form(*given)
        dy_BTH = torch.randn(y_BTH.shape, generator=torch.Generator().manual_seed(1))
        found.append([y_BTH, *torch.autograd.grad((y_BTH * dy_BTH).sum(), given)])
    for ours, theirs in zip(*found, strict=True):
        assert difference(ours, theirs) < 1e-6


@pytest.mark.parametrize("compiled", [True, False])
def test_what_was_read_last_is_carried_from_part_to_part(compiled: bool, monkeypatch: pytest.MonkeyPatch):
    if not compiled:
        monkeypatch.setattr(scan, "scan_library", lambda: None)
    x_BTH, before_BKH, weight_KH = (part.detach() for part in drawn(2, 12, 5, 4))
    whole, after_BKH = short_convolution(x_BTH, before_BKH, weight_KH)
    parts = []
    for part in x_BTH.split([1, 2, 1, 8], 1):
        y_BTH, before_BKH = short_convolution(part, before_BKH, weight_KH)
        parts.append(y_BTH)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    assert torch.equal(before_BKH, after_BKH)


def test_bf16_is_near():
    given = [part.detach() for part in drawn(2, 30, 20, 4)]
    exact, _ = short_convolution(*given)
    rounded, after_BKH = short_convolution(given[0].bfloat16(), *given[1:])
    assert (rounded.dtype, after_BKH.dtype) == (torch.bfloat16, torch.float32)
    assert difference(rounded, exact) < 1e-2
