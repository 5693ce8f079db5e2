"""Long series made short: nothing that sticks out is lost."""

from __future__ import annotations

import numpy as np

from seqtool.reports.thinning import extremes, mean, means, stretches


def columns(count: int) -> dict[str, np.ndarray]:
    noise = np.random.default_rng(0).standard_normal((2, count))
    return {"step": np.arange(count, dtype=float), "loss": noise[0], "grad_norm": noise[1]}


def test_stretches_cover_every_place_once():
    for count, most in ((0, 5), (3, 5), (10, 3), (100_000, 400)):
        parts = stretches(count, most)
        assert [place for part in parts for place in range(part.start, part.stop)] == list(range(count))
        assert len(parts) <= most


def test_spikes_ends_and_what_is_asked_for_are_kept():
    series = columns(100_000)
    series["loss"][70_001], series["grad_norm"][5] = 99.0, -99.0
    series["loss"][1000:2000] = np.nan
    places = extremes(series, ("loss", "grad_norm"), 100, kept=[12_345])
    assert {0, 5, 12_345, 70_001, 99_999} <= set(places.tolist())
    assert len(places) <= 4 * 100 + 3
    assert (np.diff(places) > 0).all()


def test_what_is_short_stays_as_it_is():
    assert extremes(columns(30), ("loss",), 20).tolist() == list(range(30))
    assert extremes(columns(0), ("loss",), 20).tolist() == []


def test_means_leave_out_what_is_missing():
    series = columns(4)
    series["loss"] = np.array([1.0, np.nan, np.nan, np.nan])
    found = means(series, ("step", "loss"), 2)
    assert found["step"].tolist() == [0.5, 2.5]
    assert found["loss"][0] == 1.0
    assert np.isnan(found["loss"][1])


def test_a_mean_beyond_all_numbers_is_none():
    assert np.isnan(mean(np.full(9, 1e308)))
    assert mean(np.array([1.0, np.inf, 3.0])) == 2.0
