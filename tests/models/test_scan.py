"""The recurrence of mingru: doubling passes and scan.c against the equation written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seqtool.models import scan

SHAPES = [(1, 1, 1), (3, 37, 21), (2, 64, 48), (5, 33, 16)]  # rows, time, hidden


@pytest.fixture(params=["compiled", "doubling"])
def fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """gated_scan with scan.c, and without it."""
    if request.param == "doubling":
        monkeypatch.setattr(scan, "scan_library", lambda: None)
    elif scan.scan_library() is None:
        pytest.skip("scan.c was not compiled")
    return scan.gated_scan


def drawn(rows: int, time: int, hidden: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """x, bias and h, to be learned."""
    draws = torch.Generator().manual_seed(0)
    shapes = [(rows, time, 2 * hidden), (hidden,), (rows, hidden)]
    given = [torch.randn(shape, generator=draws) for shape in shapes]
    given[0] = given[0].to(dtype)
    return [part.requires_grad_() for part in given]


def outputs_and_gradients(form, given: list[Tensor], most: float) -> list[Tensor]:
    y_BTH, after_BH = form(*given, most)
    draws = torch.Generator().manual_seed(1)
    total = (y_BTH.float() * torch.randn(y_BTH.shape, generator=draws)).sum()
    total = total + (after_BH * torch.randn(after_BH.shape, generator=draws)).sum()
    return [y_BTH, after_BH, *torch.autograd.grad(total, given)]


def difference(ours: Tensor, theirs: Tensor) -> float:
    return ((ours.double() - theirs.double()).norm() / theirs.double().norm().clamp(min=1e-6)).item()


@pytest.mark.parametrize("most", [1.0, 2.0])
def test_a_step_is_the_equation(most: float):
    x_B2H, bias_H, h_BH = (part.detach() for part in drawn(3, 1, 4))
    sums_BH, candidates_BH = x_B2H[:, 0].chunk(2, -1)
    z_BH = most / (1 + torch.exp(-(sums_BH + bias_H)))
    found = scan.gated_step(x_B2H[:, 0], bias_H, h_BH, most)
    torch.testing.assert_close(found, (1 - z_BH) * h_BH + z_BH * candidates_BH)


@pytest.mark.parametrize("most", [1.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_state_and_gradients_are_the_written_out_ones(fast, shape: tuple[int, int, int], most: float):
    expected = outputs_and_gradients(scan.gated_scan_reference, drawn(*shape), most)
    for ours, theirs in zip(outputs_and_gradients(fast, drawn(*shape), most), expected, strict=True):
        assert difference(ours, theirs) < 1e-6


def test_the_state_is_carried_from_part_to_part(fast):
    x_BT2H, bias_H, h_BH = (part.detach() for part in drawn(2, 50, 8))
    whole, after_BH = fast(x_BT2H, bias_H, h_BH, 1.0)
    parts = []
    for part in x_BT2H.split([1, 30, 19], 1):
        y_BTH, h_BH = fast(part, bias_H, h_BH, 1.0)
        parts.append(y_BTH)
    torch.testing.assert_close(torch.cat(parts, 1), whole)
    torch.testing.assert_close(h_BH, after_BH)


@pytest.mark.slow
@pytest.mark.parametrize("most", [1.0, 2.0])
@pytest.mark.parametrize("sums", [-9.0, 9.0], ids=["kept", "renewed"])
def test_ten_thousand_steps_lose_no_more_than_32_bits_do(fast, most: float, sums: float):
    """Beside the equation in 64 bits: what rounding each gate to 24 bits costs, and 1e-5."""
    draws = torch.Generator().manual_seed(0)
    x_BT2H = torch.randn(1, 10_000, 8, generator=draws)
    x_BT2H[..., :4] += sums
    h_BH, exact = torch.ones(1, 4, dtype=torch.float64), []
    for x_B2H in x_BT2H.double().unbind(1):
        h_BH = torch.lerp(h_BH, x_B2H[:, 4:], most * torch.sigmoid(x_B2H[:, :4]))
        exact.append(h_BH)
    found, written_out = (
        form(x_BT2H, torch.zeros(4), torch.ones(1, 4), most)[0] for form in (fast, scan.gated_scan_reference)
    )
    rounding = difference(written_out, torch.stack(exact, 1))
    assert difference(found, torch.stack(exact, 1)) < 1e-5 + 2 * rounding
    assert rounding < 1e-4


def test_signed_gates_count_parity(fast):
    """A gate of 2 turns the state's sign, one of 0 leaves it; unsigned, no gate can turn it."""
    bits_T = torch.randint(2, (10_000,), generator=torch.Generator().manual_seed(0))
    x_BT2H = torch.stack([(2 * bits_T - 1) * 40.0, torch.zeros(10_000)], -1).unsqueeze(0)
    y_BTH, _ = fast(x_BT2H, torch.zeros(1), torch.ones(1, 1), 2.0)
    assert torch.equal(y_BTH.flatten(), 1.0 - 2 * (bits_T.cumsum(0) % 2))
    y_BTH, _ = fast(x_BT2H, torch.zeros(1), torch.ones(1, 1), 1.0)
    assert (y_BTH >= 0).all()


def test_bf16_is_near(fast):
    """Inputs and outputs have 8 bits; the state between them has 24."""
    exact = outputs_and_gradients(fast, drawn(3, 200, 32), 2.0)
    rounded = outputs_and_gradients(fast, drawn(3, 200, 32, torch.bfloat16), 2.0)
    assert rounded[0].dtype == torch.bfloat16
    assert rounded[1].dtype == torch.float32
    for ours, theirs in zip(rounded, exact, strict=True):
        assert difference(ours, theirs) < 2e-2


def test_nothing_depends_on_the_number_of_threads():
    if scan.scan_library() is None:
        pytest.skip("scan.c was not compiled")
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(outputs_and_gradients(scan.gated_scan, drawn(3, 20, 40), 1.0))
    finally:
        torch.set_num_threads(before)
    bias = 3  # torch adds up its gradient
    assert all(torch.equal(*pair) for place, pair in enumerate(zip(*found, strict=True)) if place != bias)


def test_what_is_no_number_stays_so(fast):
    x_BT2H, bias_H, h_BH = (part.detach() for part in drawn(2, 9, 5))
    x_BT2H[0, 3] = torch.nan
    y_BTH, after_BH = fast(x_BT2H, bias_H, h_BH, 1.0)
    assert y_BTH[0, 3:].isnan().all()
    assert after_BH[0].isnan().all()
    assert y_BTH[1].isfinite().all()
