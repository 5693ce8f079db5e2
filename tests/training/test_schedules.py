from __future__ import annotations

import pytest

from seqtool.training.schedules import rate_factor


@pytest.mark.parametrize(
    ("schedule", "middle", "end"), [("constant", 1.0, 1.0), ("linear", 0.5, 0.0), ("cosine", 0.5, 0.0)]
)
def test_shapes(schedule: str, middle: float, end: float):
    assert rate_factor(schedule, 0.0, 0, 0, 0.0) == pytest.approx(1.0)
    assert rate_factor(schedule, 0.5, 50, 0, 0.0) == pytest.approx(middle)
    assert rate_factor(schedule, 1.0, 100, 0, 0.0) == pytest.approx(end)


def test_warm_up_by_steps_and_by_share():
    assert [rate_factor("constant", 0.0, step, 4, 0.0) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rate_factor("cosine", 0.05, 5, 0.1, 0.0) == pytest.approx(0.5)
    assert rate_factor("cosine", 0.1, 10, 0.1, 0.0) == pytest.approx(1.0)
    assert rate_factor("cosine", 0.55, 10, 0.1, 0.0) == pytest.approx(0.5)
    assert rate_factor("cosine", 0.0, 0, 0.1, 0.0) > 0


def test_the_last_rate():
    assert rate_factor("linear", 1.0, 100, 0, 0.1) == pytest.approx(0.1)
    assert rate_factor("cosine", 0.5, 50, 0, 0.2) == pytest.approx(0.6)
