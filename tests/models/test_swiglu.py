"""swiglu's gates: scan.c against torch operations."""

from __future__ import annotations

import pytest
import torch

from seqtool.models import scan
from seqtool.models.swiglu import swiglu, swiglu_reference
from tests.models.test_scan import difference

pytestmark = pytest.mark.skipif(scan.scan_library() is None, reason="scan.c was not compiled")


def drawn(shape: tuple[int, ...], scale: float = 3.0) -> torch.Tensor:
    """What is to be gated."""
    return (scale * torch.randn(shape, generator=torch.Generator().manual_seed(0))).requires_grad_()


@pytest.mark.parametrize("shape", [(2,), (1, 2), (3, 5, 6), (2, 7, 42), (4, 16, 64), (0, 8), (2, 0, 8)], ids=str)
def test_compiled_outputs_and_gradients_are_torchs(shape: tuple[int, ...]):
    found = []
    for form in (swiglu, swiglu_reference):
        x = drawn(shape)
        y = form(x)
        dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
        found.append([y, *torch.autograd.grad((y * dy).sum(), x)])
    for ours, theirs in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        assert not ours.numel() or difference(ours, theirs) < 1e-6


def test_strides_and_gradients_of_another_order_are_borne():
    x = drawn((6, 4, 8)).transpose(0, 1)
    y = swiglu(x)
    torch.testing.assert_close(y, swiglu_reference(x))
    weights = torch.randn(6, 4, 4).transpose(0, 1)
    ours, theirs = (torch.autograd.grad((form(x) * weights).sum(), x)[0] for form in (swiglu, swiglu_reference))
    torch.testing.assert_close(ours, theirs)


def test_bf16_is_rounded_once():
    x = drawn((4, 9, 34)).detach().bfloat16()
    exact = swiglu_reference(x.double())
    found = swiglu(x)
    assert found.dtype == torch.bfloat16
    assert (found.double() - exact).abs().max() <= (swiglu_reference(x).double() - exact).abs().max()


def test_large_and_undefined_numbers_are_torchs():
    x = torch.tensor([[-1e4, 1e4, 0.0, float("nan"), 1.0, 2.0, 3.0, 4.0]])
    torch.testing.assert_close(swiglu(x), swiglu_reference(x), equal_nan=True)


def test_what_neither_fp32_nor_bf16_is_goes_through_torch():
    x = drawn((3, 8)).detach().double()
    assert torch.equal(swiglu(x), swiglu_reference(x))
