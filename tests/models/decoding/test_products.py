from __future__ import annotations

import pytest
import torch

from seqtool.models.decoding import compiled_step as native
from seqtool.models.decoding.products import Product

COMPILED = pytest.mark.parametrize("compiled", [True, "one row", False])


@COMPILED
@pytest.mark.parametrize("size", [(3, 64, 40), (1, 7, 5), (2, 33, 1), (4, 1, 3)])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.01), ("int8", 0.02)])
def test_a_product_in_fewer_bits_is_near_the_exact_one(
    precision: str,
    tolerance: float,
    threads: int,
    size: tuple[int, int, int],
    compiled: object,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(native, "threads_for", lambda weight_bytes: threads)
    draws = torch.Generator().manual_seed(0)
    rows, width, out = size
    x, weight, plus = (torch.randn(shape, generator=draws) for shape in ((rows, width), (out, width), (rows, out)))
    weight[-1] = 0.0
    exact = x.double() @ weight.double().t() + plus
    found = Product(weight, precision)(x, plus.clone()).double()
    assert ((found - exact).norm() / exact.norm()) < tolerance
    torch.testing.assert_close(Product(weight, precision)(x).double(), found - plus, atol=1e-4, rtol=1e-4)
    biased = Product(weight, precision)(x, plus[0].clone()).double()
    torch.testing.assert_close(biased, found - plus + plus[0], atol=1e-4, rtol=1e-4)
