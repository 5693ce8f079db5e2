"""Windows of series: what they hold, in which units, and that nothing from behind a cut is in them."""

from __future__ import annotations

import numpy as np
import pytest

from seqtool.tasks.examples.windows import Cutting, History, SeriesStore, WindowExamples

NAN = np.nan
CUTTING = Cutting(window=6, horizon=4, season=3)
CUT = 20


def history(values: object, covariates: object = None, name: str = "one") -> History:
    array = np.array(values, np.float32)
    known = np.zeros((len(array), 0), np.float32) if covariates is None else np.array(covariates, np.float32)
    return History(name, array, None, known)


def noise(steps: int = 40, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(50, 9, steps).astype(np.float32)


def store(*values: object, cutting: Cutting = CUTTING) -> SeriesStore:
    return SeriesStore([history(each) for each in values], cutting)


def examples(made: SeriesStore, firsts: list[int], counts: list[int]) -> WindowExamples:
    return WindowExamples(made, np.array(firsts), np.array(counts), np.ones(len(firsts)))


def at(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_a_window_is_the_steps_before_its_cut_from_their_mean_in_their_deviations():
    values = noise()
    x, units = store(noise(seed=1), values).inputs(at(1), at(CUT))
    before = values[CUT - 6 : CUT].astype(np.float64)
    np.testing.assert_allclose(x.steps_BTF[0, :, 0], (before - before.mean()) / before.std(), rtol=1e-5)
    np.testing.assert_allclose(units.shift_BH[0], [*values[17:20], values[17]], rtol=1e-6)  # the season again and again
    assert units.scale_B[0] == pytest.approx(before.std())


def test_units_are_put_back_exactly():
    values = noise()
    _, units = store(values).inputs(at(0, 0), at(8, CUT))
    ahead = np.array([values[8:12], values[20:24]], np.float64)
    np.testing.assert_allclose(units.put_back(units.told(ahead)[..., None])[..., 0], ahead, rtol=1e-12)


@pytest.mark.parametrize("gap", [[], [18, 19], [19], [4, 5, 6], [13, 17, 18, 19], [0, 1]])
def test_nothing_from_behind_the_cut_is_read(gap: list[int]):
    """Not even where the gap reaches over the cut, over which a line could be drawn."""
    values = noise()
    values[gap] = NAN
    other = values.copy()
    other[CUT:] = noise(seed=2)[CUT:]
    if 19 in gap:
        values[CUT : CUT + 2] = NAN
    (x, units), (x_other, units_other) = (store(each).inputs(at(0), at(CUT)) for each in (values, other))
    np.testing.assert_array_equal(x.steps_BTF, x_other.steps_BTF)
    np.testing.assert_array_equal(units.shift_BH, units_other.shift_BH)
    assert x.steps_BTF.isfinite().all()


def test_a_gap_is_the_line_over_it_and_before_the_cut_the_season_before():
    values = np.arange(40, dtype=np.float32) * 2
    values[[16, 19]] = NAN
    x, units = store(values).inputs(at(0), at(CUT))
    read = x.steps_BTF[0, :, 0] * units.scale_B[0]
    np.testing.assert_allclose(np.diff(read), [2, 2, 2, 2, -4], rtol=1e-5)  # 28 … 36, and 32 for the last


def test_before_a_series_is_its_first_season():
    x, _ = store([1, 2, 3, 9, 9, 9, 9, 9, 9]).inputs(at(0), at(4))
    before = np.array([2, 3, 1, 2, 3, 9.0])
    np.testing.assert_allclose(x.steps_BTF[0, :, 0], (before - before.mean()) / before.std(), rtol=1e-5)
    single, _ = store([5, 6, 7, 8, 9]).inputs(at(0), at(1))
    assert not single.steps_BTF.any()


@pytest.mark.parametrize("value", [0.0, 7.0, -1e9, 1e-30, 3.4e38, 0.1])
def test_a_constant_is_forecast_as_that_whatever_the_model_says(value: float):
    _, units = store([value] * 40).inputs(at(0), at(CUT))
    put_back = units.put_back(np.random.default_rng(0).normal(size=(1, 4, 2)))
    assert (put_back == np.float32(value)).all()


def test_behind_a_constant_there_is_nothing_to_learn():
    values = [5.0] * 20 + [9.0] * 20
    taken = examples(store(values), [CUT], [1]).take(at(0))
    assert not taken.targets.any()


def test_targets_are_what_came_in_the_windows_units_and_their_size():
    values = noise()
    made = WindowExamples(store(values), at(CUT), at(1), np.array([2.0]))
    _, units = made.store.inputs(at(0), at(CUT))
    targets = made.take(at(0)).targets[0].double().numpy()
    np.testing.assert_allclose(targets[:-1] * units.scale_B[0] + units.shift_BH[0], values[CUT : CUT + 4], rtol=1e-5)
    assert targets[-1] == pytest.approx(units.scale_B[0] / 2.0)


def test_missing_values_are_no_targets():
    values = noise()
    values[[22, 23, 30]] = NAN
    made = examples(store(values), [18], [6])
    assert [made.targets_in(at(row)) for row in range(6)] == [4, 3, 2, 2, 2, 3]
    assert made.targets_in(np.arange(6)) == 16
    assert made.take(at(2)).targets[0].isnan().tolist() == [False, False, True, True, False]


def test_windows_are_numbered_series_by_series():
    made = examples(store(noise(30), noise(9), noise(40)), [6, 5, 7], [3, 0, 2])
    series, cuts = made.places(np.arange(len(made)))
    assert list(zip(series.tolist(), cuts.tolist(), strict=True)) == [(0, 6), (0, 7), (0, 8), (2, 7), (2, 8)]
    assert made.lengths_N.tolist() == [6] * 5


def test_a_window_is_the_same_alone_and_among_others():
    values = [noise(30), noise(33, 1), noise(40, 2)]
    values[1][[3, 8, 9]] = NAN
    made = examples(store(*values), [6, 4, 7], [9, 9, 9])
    together = made.take(np.arange(27)[::-1].copy())
    for place, row in enumerate(range(26, -1, -1)):
        alone = made.take(at(row))
        np.testing.assert_array_equal(alone.x.steps_BTF[0], together.x.steps_BTF[place])
        np.testing.assert_array_equal(alone.targets[0], together.targets[place])


def test_covariates_of_history_and_horizon_are_read_in_deviations():
    known = np.stack([np.arange(44), np.full(44, 8)], axis=1).astype(np.float32)
    made = SeriesStore([history(noise(), known)], CUTTING, np.array([10.0, 8.0]), np.array([2.0, 1.0]))
    x, _ = made.inputs(at(0), at(40))
    np.testing.assert_allclose(x.steps_BTF[0, :, 1], (np.arange(34, 40) - 10) / 2)
    np.testing.assert_allclose(x.numbers_BN[0].reshape(4, 2), [[(t - 10) / 2, 0] for t in range(40, 44)])
    behind, _ = SeriesStore([history(noise(), known[:41])], CUTTING, np.zeros(2), np.ones(2)).inputs(at(0), at(40))
    assert behind.numbers_BN[0, 2:].tolist() == [0.0] * 6


def test_what_lies_before_the_first_known_value_has_begun_nothing():
    made = store([NAN, NAN, 4, 5, NAN, 6])
    assert made.begun(np.zeros(4, np.int64), at(0, 2, 3, 5)).tolist() == [False, False, True, True]
