"""Forecasting, by the real command: what is learned, what is written, what bad input gets."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from seqtool.errors import UsageError
from seqtool.settings.examples import ExampleConfig
from seqtool.tasks import forecast
from seqtool.tasks.examples.prepared import Prepared
from seqtool.tasks.forecast import Forecasts, default_window, error_unit, levels_of
from seqtool.tasks.request import Request
from tests.conftest import Command, Start
from tests.corpora.recipe import made

QUICK = ["--batch-size", 16, "-q"]


def done(result: subprocess.CompletedProcess[bytes]) -> str:
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout.decode()


def error_of(result: subprocess.CompletedProcess[bytes], code: int) -> str:
    assert result.returncode == code, result.stderr.decode()
    (line,) = [line for line in result.stderr.decode().splitlines() if line.startswith("seqtool: error: ")]
    assert "Traceback" not in result.stderr.decode()
    return line


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def wave(steps: int, seed: int = 0, season: int = 12) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 0.3, steps)
    return 20 + 3 * np.sin(np.arange(steps) * 2 * np.pi / season + seed) + 0.01 * np.arange(steps) + noise


def long_table(path: Path, count: int = 3, steps: int = 200, *, order: int = 1) -> Path:
    """Series of different lengths, hour by hour, with gaps."""
    days = np.arange(np.datetime64("2024-01-01", "s"), steps * 3600, np.timedelta64(3600, "s")).astype(str)
    lines = ["series,time,value,other"]
    for number in list(range(count))[::order]:
        own = wave(steps - 15 * number, number)
        for place, (time, value) in enumerate(zip(days, own, strict=False)):
            told = "" if place % 37 == 5 + number else f"{value:.4f}"
            lines.append(f"s{number},{time.replace('T', ' ')},{told},{-value:.4f}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return long_table(tmp_path_factory.mktemp("series") / "table.csv")


@pytest.fixture(scope="module")
def run(seqtool: Command, table: Path) -> Path:
    """A small forecaster."""
    path = table.with_name("run")
    arguments = ["train", table, "--target", "value", "--horizon", 6, "--season", 12, "--quantiles", ".9,.1,.5"]
    done(seqtool(*arguments, "-o", path, "--steps", 150, *QUICK))
    return path


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a year and some weeks of other noise, of which the least mean squared error is known: 9."""
    folder = tmp_path_factory.mktemp("libraries")
    for seed in (0, 1):
        lines, _ = made("seasonal", "--rows", 24_000 if seed == 0 else 6_000, "--seed", seed)
        (folder / f"{seed}.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.slow
def test_it_learns_seasons_and_holidays_to_near_the_least_error(seqtool: Command, libraries: Path):
    """In other weeks, of other holidays and noise, of which nothing was seen."""
    run = libraries / "run"
    arguments = ["--target", "value", "--future", "holiday", "--horizon", 24, "-o", run, "--window", 168]
    arguments += ["--epochs", 4, "--lr", 1e-2, "-q"]
    done(seqtool("train", libraries / "0.csv", *arguments))
    report = json.loads(done(seqtool("eval", run, libraries / "1.csv", "--backtest", 30, "--json")))
    by_name = {row["forecast"]: row for row in report["baselines"]}
    assert 8 < report["mse"] < 1.45 * 9
    assert report["mse"] < 0.3 * by_name["seasonal_naive"]["mse"]
    assert report["owa"] < 0.7
    (interval,) = report["intervals"]
    assert interval["level"] == 0.9
    assert 0.82 < interval["coverage"] < 0.96
    told = done(seqtool("train", libraries / "0.csv", *arguments, "--force", "--dry-run", "--json"))
    assert json.loads(told)["season"] == 24


def test_what_is_written_goes_on_behind_each_series(seqtool: Command, run: Path, table: Path):
    text = done(seqtool("predict", run, table))
    assert text.startswith("series,time,mean,q0.1,q0.5,q0.9\n")
    rows = rows_of(text)
    assert [row["series"] for row in rows] == [name for name in ("s0", "s1", "s2") for _ in range(6)]
    assert [row["time"] for row in rows[:2]] == ["2024-01-09 08:00:00", "2024-01-09 09:00:00"]
    assert rows[6]["time"] == "2024-01-08 17:00:00"
    for row in rows:
        assert float(row["q0.1"]) <= float(row["q0.5"]) <= float(row["q0.9"])
    truth = np.concatenate([wave(206 - 15 * n, n)[-6:] for n in range(3)])
    assert np.abs(truth - [float(row["mean"]) for row in rows]).mean() < 0.8
    answers = [json.loads(line) for line in done(seqtool("predict", run, table, "--json")).splitlines()]
    assert [answer["series"] for answer in answers] == ["s0", "s1", "s2"]
    assert answers[1]["time"] == [row["time"] for row in rows[6:12]]
    np.testing.assert_allclose(answers[2]["q0.9"], [float(row["q0.9"]) for row in rows[12:]], rtol=1e-6)


def test_a_forecast_is_the_same_alone_in_any_batch_and_in_any_order(
    seqtool: Command, run: Path, table: Path, tmp_path: Path
):
    together = rows_of(done(seqtool("predict", run, table)))
    single = rows_of(done(seqtool("predict", run, table, "--batch-size", 1)))
    turned = rows_of(done(seqtool("predict", run, long_table(tmp_path / "turned.csv", order=-1))))
    lines = table.read_text().splitlines(keepends=True)
    (tmp_path / "alone.csv").write_text(lines[0] + "".join(line for line in lines if line.startswith("s1,")))
    alone = rows_of(done(seqtool("predict", run, tmp_path / "alone.csv")))
    (tmp_path / "mixed.csv").write_text(lines[0] + "".join(sorted(lines[1:], key=lambda line: line.split(",")[1])))
    mixed = rows_of(done(seqtool("predict", run, tmp_path / "mixed.csv")))
    for other in (single, turned, alone, mixed):
        by_place = {(row["series"], row["time"]): row for row in other}
        for row in together if other is not alone else together[6:12]:
            for name in ("mean", "q0.1", "q0.5", "q0.9"):
                assert float(by_place[row["series"], row["time"]][name]) == pytest.approx(float(row[name]), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["ffn", "lstm", "transformer", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gru", "rnn"))]
)
def test_every_core_learns_to_forecast(seqtool: Command, tmp_path: Path, table: Path, model: str):
    """Better than what it begins with, the seasonal naive forecast; the same in any batch."""
    run = tmp_path / model
    layers = ["--layers", 2] if model in ("ffn", "transformer") else []
    arguments = ["--target", "value", "--horizon", 6, "--season", 12, "--window", 24, "--hidden", 16, *layers]
    done(seqtool("train", table, *arguments, "--model", model, "--steps", 120, "--lr", 5e-3, "-o", run, *QUICK))
    report = json.loads(done(seqtool("eval", run, table, "--backtest", 3, "--json")))
    by_name = {row["forecast"]: row for row in report["baselines"]}
    assert report["mse"] < by_name["seasonal_naive"]["mse"]
    together, single = (rows_of(done(seqtool("predict", run, table, "--batch-size", size))) for size in (8, 1))
    for one, other in zip(together, single, strict=True):
        assert float(one["mean"]) == pytest.approx(float(other["mean"]), rel=1e-6)


def test_wide_tables_without_times_count_steps(seqtool: Command, tmp_path: Path):
    header = ",".join(["name", *(f"V{place}" for place in range(1, 121))])
    series = {"short, one": wave(100, 1), "long": wave(120, 2), "constant": np.full(120, 7.25)}
    cells = {
        name: ",".join([f'"{name}"', *(f"{value:.3f}" for value in values), *[""] * (120 - len(values))])
        for name, values in series.items()
    }
    path = tmp_path / "wide.csv"
    path.write_text("\n".join([header, *cells.values()]) + "\n")
    done(seqtool("train", path, "--horizon", 5, "--season", 12, "--steps", 60, "-o", tmp_path / "run", *QUICK))
    rows = rows_of(done(seqtool("predict", tmp_path / "run", path)))
    assert [row["series"] for row in rows] == [name for name in series for _ in range(5)]
    assert [row["time"] for row in rows[:5]] == ["1", "2", "3", "4", "5"]
    assert {row[name] for row in rows[10:] for name in ("mean", "q0.05", "q0.5", "q0.95")} == {"7.25"}
    path.write_text("\n".join([header, cells["long"], cells["short, one"]]) + "\n")
    turned = rows_of(done(seqtool("predict", tmp_path / "run", path)))
    for row, before in zip(turned, rows[5:10] + rows[:5], strict=True):
        assert row["series"] == before["series"]
        assert float(row["mean"]) == pytest.approx(float(before["mean"]), rel=1e-6)


def test_each_target_is_a_series_of_one_model(seqtool: Command, tmp_path: Path):
    lines = "".join(
        f"{day},{a:.3f},{b:.3f}\n" for day, (a, b) in enumerate(zip(wave(150), wave(150, 4) * 50, strict=True))
    )
    (tmp_path / "two.csv").write_text("day,a,b\n" + lines)
    done(seqtool("train", tmp_path / "two.csv", "--target", "a,b", "--horizon", 4, "--season", 12, "--steps", 60,
                 "--time-column", "day", "-o", tmp_path / "run", *QUICK))  # fmt: skip
    rows = rows_of(done(seqtool("predict", tmp_path / "run", tmp_path / "two.csv")))
    assert [(row["series"], row["time"]) for row in rows[3:5]] == [("a", "153"), ("b", "150")]
    assert 15 < float(rows[0]["mean"]) < 28
    assert 750 < float(rows[4]["mean"]) < 1400


def test_backtests_choose_windows_and_from_a_time_on_all(seqtool: Command, run: Path, table: Path):
    def judged(*flags: object) -> dict[str, object]:
        return dict(json.loads(done(seqtool("eval", run, table, "--json", *flags))))

    assert judged()["windows"] == 3
    assert judged("--backtest", 4)["windows"] == 12
    assert judged("--from", 150)["windows"] == 45 + 30 + 15
    assert judged("--from", "2024-01-07 06:00:00")["windows"] == 45 + 30 + 15
    assert judged("--from", 150, "--backtest", 2)["windows"] == 6
    report = judged("--backtest", 4)
    assert report["missing"] == 72 - report["values"] > 0  # type: ignore[operator]
    shown = done(seqtool("eval", run, table, "--backtest", 4))
    assert "seasonal_naive" in shown
    assert "winkler score" in shown


@pytest.mark.parametrize(("flags", "message"), [
    (["--backtest", "some"], "--backtest some: give a number of at least 1, or all"),
    (["--from", "noon"], "--from noon: give a time such as"),
    (["--stride", 4], "--stride: "),
])  # fmt: skip
def test_backtests_refuse_what_makes_no_sense(
    seqtool: Command, run: Path, table: Path, flags: list[object], message: str
):
    assert message in error_of(seqtool("eval", run, table, *flags), 2)


def test_backtests_are_for_forecasts(seqtool: Command, small_run: Path, prose_file: Path):
    message = error_of(seqtool("eval", small_run, prose_file, "--backtest", 4, "--from", 3), 2)
    assert "--backtest and --from: " in message
    assert "does not forecast series" in message


@pytest.mark.parametrize(("flags", "code", "message"), [
    (["--target", "guests", "--horizon", 6], 2, "has no column guests; there are series, time, value, other"),
    (["--target", "value", "--horizon", 190], 3, "'s1' of table.csv has 185 steps, not more than the horizon of 190, and 1 others"),
    (["--target", "value", "--horizon", 90], 3, ""),
    (["--target", "series", "--horizon", 6], 3, "line 2 of table.csv: 's0' in column series is not a number"),
    (["--target", "value", "--horizon", 6, "--quantiles", "5,50,95"], 2, "--quantiles 5,50,95: give up to 99 levels"),
    (["--target", "value", "--horizon", 6, "--future", "weather"], 2, "has no column weather"),
    (["--target", "value", "--horizon", 6, "--valid", "gone.csv"], 3, "gone.csv"),
    (["--target", "value", "--horizon", 6, "--context", 10], 2, "--context 10: --window"),
    (["--horizon", 6], 2, "--target COLUMN: name what to forecast, of series, time, value, other"),
    (["--target", "value", "--horizon", 6, "--model", "bag"], 2, "choose from"),
    (["--target", "value", "--horizon", 6, "--stateful"], 2, "--stateful: that is for language models, not to forecast"),
])  # fmt: skip
def test_bad_input_gets_one_sentence(
    seqtool: Command, table: Path, tmp_path: Path, flags: list[object], code: int, message: str
):
    if not message:
        done(seqtool("train", table, *flags, "-o", tmp_path / "run", "--steps", 2, *QUICK))
        return
    result = seqtool("train", table.name, *flags, "-o", tmp_path / "run", "--steps", 2, *QUICK, cwd=table.parent)
    assert message in error_of(result, code)
    assert not (tmp_path / "run").exists()


def test_series_too_short_are_left_out_under_replace(seqtool: Command, table: Path, tmp_path: Path):
    flags = ["--target", "value", "--horizon", 92, "--steps", 2, "--batch-size", 4]
    (tmp_path / "more.csv").write_text(table.read_text() + "tiny,2024-01-01 00:00:00,1,1\n")
    assert "'tiny' of" in error_of(seqtool("train", tmp_path / "more.csv", *flags, "-o", tmp_path / "run"), 3)
    result = seqtool("train", tmp_path / "more.csv", *flags, "-o", tmp_path / "run", "--errors", "replace")
    done(result)
    assert b"1 series are left out: they are not longer than the horizon" in result.stderr


def test_a_horizon_is_asked_for_where_there_is_no_season(seqtool: Command, tmp_path: Path):
    (tmp_path / "noise.csv").write_text(
        "value\n" + "".join(f"{x:.4f}\n" for x in np.random.default_rng(0).normal(size=90))
    )
    message = error_of(seqtool("train", tmp_path / "noise.csv", "--task", "forecast", "--target", "value"), 2)
    assert "--horizon N: say how many steps to forecast" in message


@pytest.mark.slow
def test_what_is_known_beforehand_must_be_known(seqtool: Command, libraries: Path, tmp_path: Path):
    run, table = tmp_path / "run", libraries / "0.csv"
    flags = ["--target", "value", "--future", "holiday", "--horizon", 24, "--steps", 20, "-o", run]
    done(seqtool("train", table, *flags, *QUICK))
    lacking = seqtool("predict", run, table)
    assert "series 'north' has no holiday for some of the 24 steps behind its end, step 4,000" in error_of(lacking, 3)
    empty = seqtool("predict", run, table, "--errors", "replace")
    assert done(empty).splitlines()[1:] == [""] * 6
    assert b"6 rows have no answer" in empty.stderr
    times = np.datetime64("2024-06-15T16:00:00") + np.arange(24).astype("timedelta64[h]")
    ahead = "".join(f"north,{time},{0},\n".replace("T", " ") for time in times.astype(str))
    lines = [line for line in table.read_text().splitlines(keepends=True) if line.startswith(("series", "north"))]
    (tmp_path / "known.csv").write_text("".join(lines) + ahead)
    rows = rows_of(done(seqtool("predict", run, tmp_path / "known.csv")))
    assert [row["time"] for row in rows] == [str(time).replace("T", " ") for time in times]


@pytest.mark.parametrize(("text", "message"), [
    ("time,value\n2024-01-01,3\n", "lacks the column series; it has time, value"),
    ("series,time,value\ns0,2024-01-01 00:00:00,\n", "series 's0' has no value that is known"),
    ("series,time,value\ns0,2024-01-01 00:00:00,4\n", "series 's0' has one time only"),
    ("series,time,value\ns0,2024-01-01 00:00:00,4\ns0,2024-01-01 00:00:00,5\n", "has two rows at 2024-01-01T00:00:00"),
    ("series,time,value\ns0,yesterday,4\n", "'yesterday' in column time is not a time"),
    ("series,time,value\n", "no rows"),
    ("", "empty"),
])  # fmt: skip
def test_questions_that_cannot_be_answered_get_one_sentence(seqtool: Command, run: Path, text: str, message: str):
    assert message in error_of(seqtool("predict", run, "-", stdin=text.encode()), 3)


def test_a_short_history_is_enough(seqtool: Command, run: Path):
    """Of two steps, shorter than the window, and with a gap."""
    text = b"series,time,value\nnew,2024-05-01 00:00:00,4\nnew,2024-05-01 01:00:00,5\nnew,2024-05-01 03:00:00,7\n"
    rows = rows_of(done(seqtool("predict", run, "-", stdin=text)))
    assert [row["time"] for row in rows[:2]] == ["2024-05-01 04:00:00", "2024-05-01 05:00:00"]
    assert all(np.isfinite(float(row["mean"])) for row in rows)


def test_a_killed_training_goes_on_exactly(seqtool: Command, start: Start, table: Path, tmp_path: Path):
    arguments = ["train", table, "--target", "value", "--horizon", 6, "--steps", 120, "--eval-every", 40]
    arguments += ["--checkpoint-every", 20, "--model", "gru", "--hidden", 8, *QUICK]
    done(seqtool(*arguments, "-o", tmp_path / "whole"))
    checkpoint = f"{tmp_path}/killed/checkpoint/state.safetensors"
    killed = seqtool(*arguments, "-o", tmp_path / "killed", kill=(signal.SIGKILL, [(checkpoint, 0.05)]))
    assert killed.returncode == -9
    done(seqtool(*arguments, "-o", tmp_path / "killed", "--resume"))
    whole, again = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed"))
    assert whole == again
    changed = long_table(tmp_path / "changed.csv", steps=201)
    other = seqtool("train", changed, "-o", tmp_path / "killed", "--resume", "--steps", 300, "-q")
    assert "give --resume the same as DATA" in error_of(other, 3)


def prepared(path: Path, valid: str | None = None, errors: str = "strict", **examples: object) -> Prepared:
    request = Request([str(path)], [1.0], None, {}, None, {}, valid, None, None, errors, False)
    config = ExampleConfig(task="forecast", target="value", season=12, **{"horizon": 6, **examples})  # type: ignore[arg-type]
    return forecast.prepare(request, forecast.open_data(request, config), config, {"model": "ffn"}, None)


@pytest.mark.parametrize("share", [None, "0.05", "0.3"])
def test_what_is_held_back_is_never_learned_from(table: Path, share: str | None):
    """Neither a value that is to be forecast, nor one that a window reads."""
    data = prepared(table, share)
    train_series, train_cuts = data.train.places(np.arange(len(data.train)))  # type: ignore[attr-defined]
    series, cuts = data.valid.places(np.arange(len(data.valid)))  # type: ignore[attr-defined]
    lengths = np.array([200, 185, 170])
    for number in range(3):
        held = max(6, round(float(share or 0.1) * lengths[number]))
        own = cuts[series == number]
        assert own.tolist() == list(range(lengths[number] - held, lengths[number] - 5))
        assert train_cuts[train_series == number].max() + 6 == lengths[number] - held
    assert data.shape.steps == data.task["window"] > 12


def test_validation_may_be_a_file(table: Path, tmp_path: Path):
    data = prepared(table, str(long_table(tmp_path / "other.csv", count=1, steps=60)))
    assert data.record["valid_examples"] == len(data.valid) == 60 - 6 - 27 + 1
    assert data.record["train_examples"] > len(prepared(table).train)


def test_what_is_held_back_changes_nothing_that_is_learned_from(table: Path, tmp_path: Path):
    lines = table.read_text().splitlines(keepends=True)
    for place in range(1, len(lines)):
        name, time, _, other = lines[place].split(",")
        if name == "s0" and time > "2024-01-08 12":
            lines[place] = f"{name},{time},99,{other}"
    (tmp_path / "changed.csv").write_text("".join(lines))
    first, second = prepared(table), prepared(tmp_path / "changed.csv")
    rows = np.arange(len(first.train))
    assert torch.equal(first.train.take(rows).x.steps_BTF, second.train.take(rows).x.steps_BTF)  # type: ignore[arg-type]
    torch.testing.assert_close(first.train.take(rows).targets, second.train.take(rows).targets, equal_nan=True)
    assert first.task["deviations"] == second.task["deviations"]


def test_default_windows_are_whole_seasons_that_the_series_allow():
    assert default_window(24, 96, np.array([8640])) == 336
    assert default_window(24, 168, np.array([8640])) == 504
    assert default_window(12, 12, np.array([100])) == 48
    assert default_window(12, 6, np.array([20])) == 9
    assert default_window(1, 10, np.array([1000])) == 30
    assert default_window(7, 3, np.array([4])) == 1


def test_levels_are_sorted_and_checked():
    assert levels_of(".9, .1,.5,.5") == (0.1, 0.5, 0.9)
    assert levels_of("") == (0.05, 0.5, 0.95)
    for wrong in ("0,.5", "x", ",", ".5,1", "nan"):
        with pytest.raises(UsageError, match="give up to 99 levels between 0 and 1"):
            levels_of(wrong)


def test_errors_count_between_deviations_and_seasonal_steps():
    values = wave(600)
    step = np.abs(values[12:] - values[:-12]).mean()
    assert error_unit(values, 12) == pytest.approx(np.sqrt(values.std() * step))
    assert error_unit(np.tile([1.0, 3.0], 20), 2) == 1.0  # whose seasonal steps are all 0
    assert error_unit(np.full(20, 4.0), 2) == 1.0


LEVELS = (0.1, 0.5, 0.9)


def test_the_loss_is_squared_error_and_pinball_of_known_steps():
    answers = Forecasts(2, LEVELS)
    outputs = torch.tensor([[1.0, 0.0, 1.0, 2.0, 5.0, 5.0, 5.0, 5.0]])
    targets = torch.tensor([[2.0, torch.nan, 3.0]])  # in units of three
    expected = (3 * 1.0) ** 2 + 3 * (0.1 * 2 + 0.5 * 1 + 0.9 * 0)
    assert answers.losses(outputs, targets).tolist() == pytest.approx([expected])
    outputs.requires_grad_()
    answers.losses(outputs, targets).sum().backward()
    assert outputs.grad is not None
    assert outputs.grad[0, 4:].tolist() == [0.0] * 4


def test_quantiles_never_cross_and_hold_what_they_say_on_validation():
    generator = torch.Generator().manual_seed(0)
    answers = Forecasts(3, LEVELS)
    outputs = torch.randn(2000, answers.outputs, generator=generator)
    targets = torch.cat([torch.randn(2000, 3, generator=generator), torch.ones(2000, 1)], dim=1)
    fitted = answers.fit(outputs, targets)
    told = answers.told(outputs, fitted)
    assert (np.diff(told[..., 1:], axis=-1) >= 0).all()
    np.testing.assert_array_equal(told[..., 0], outputs.double().reshape(2000, 3, 4)[..., 0])
    inside = (told[..., 1] <= targets[:, :-1].numpy()) & (targets[:, :-1].numpy() <= told[..., 3])
    assert inside.mean(0) == pytest.approx([0.8] * 3, abs=0.02)


def test_few_windows_share_their_offsets():
    answers = Forecasts(2, LEVELS)
    targets = torch.cat([torch.randn(20, 2), torch.ones(20, 1)], dim=1)
    offsets = answers.fit(torch.zeros(20, answers.outputs), targets).reshape(2, 3)
    assert torch.equal(offsets[0], offsets[1])
    assert offsets[0, 0] < 0 < offsets[0, 2]
    nothing = torch.zeros(5, 3)
    assert not answers.fit(torch.zeros(5, answers.outputs), nothing).any()


def test_it_begins_with_another_runs_weights(seqtool: Command, run: Path, table: Path, tmp_path: Path):
    other, again = long_table(tmp_path / "other.csv", count=2), tmp_path / "again"
    settings = ["--target", "value", "--horizon", 6, "--season", 12, "--quantiles", ".1,.5,.9"]
    begun = seqtool("train", table, *settings, "--from", run, "--steps", 1, "--lr", 1e-12, "-o", again, "-q")
    assert begun.returncode == 0, begun.stderr.decode()
    figures = [json.loads(done(seqtool("eval", one, table, "--json")))["mse"] for one in (run, again)]
    assert figures[1] == pytest.approx(figures[0], rel=1e-4)
    refused = seqtool("train", other, "--target", "value", "--horizon", 5, "--from", run, "-o", tmp_path / "r")
    assert "nothing that it learned means the same here" in error_of(refused, 2)
