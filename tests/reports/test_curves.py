"""What a page tells of runs: the numbers that were logged, the best among those that compare, and what differs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seqtool.reports.curves import RunRecord, best_of, described, read_record, settings_table
from seqtool.runs.config import METRICS, RunConfig


def copy_of(run: Path, folder: Path, valid: list[float], train: list[float]) -> Path:
    """A copy of a run with other metrics: losses of steps 10, 20, …"""
    shutil.copytree(run, folder)
    lines: list[dict[str, Any]] = []
    for place, loss in enumerate(train, 1):
        common = {"step": 10 * place, "tokens": 100 * place, "elapsed_s": 0.5 * place}
        lines.append({**common, "loss": loss, "lr": 0.1, "grad_norm": 1.0, "skipped": 0, "tokens_per_s": 1.0})
        best = 10 * (1 + valid.index(min(valid[:place])))
        lines.append({**common, "valid_loss": valid[place - 1], "best_step": best})
    (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_numbers_are_those_that_were_logged(small_run: Path):
    lines = [json.loads(line) for line in (small_run / METRICS).read_text().splitlines()]
    (run,) = described([read_record(small_run)])
    validations = [line for line in lines if "valid_loss" in line]
    assert run["valid"]["valid_loss"] == [line["valid_loss"] for line in validations]
    assert run["valid"]["step"][run["best"]] == validations[-1]["best_step"]
    steps = [line for line in lines if "loss" in line]
    assert run["train"]["loss"] == pytest.approx([line["loss"] for line in steps], rel=1e-5)
    assert (run["name"], run["model"], run["unit"]) == ("small", "lstm", "nats per token")


def test_the_best_is_marked_among_runs_that_compare(small_run: Path, tmp_path: Path):
    one = read_record(copy_of(small_run, tmp_path / "one", [3.0, 2.0], [3.0, 2.5]))
    other = read_record(copy_of(small_run, tmp_path / "other", [3.0, 1.9], [3.0, 2.5]))
    assert best_of([one, other]) == {1}
    assert best_of([other]) == set()
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    config["data"]["sha256"] = "0" * 64
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    assert best_of([one, read_record(tmp_path / "other")]) == set()


@pytest.mark.parametrize(
    "change",
    [
        {"task": {"target_vocabulary_sha256": "0" * 64}},
        {"task": {"target": ["another"]}},
        {"task": {"horizon": 24}},
        {"task": {"levels": [0.5]}},
        {"data": {"valid_share": 0.1}, "training": {"seed": 7}},
    ],
)
def test_losses_of_other_texts_or_other_rows_do_not_compare(change: dict[str, Any], small_run: Path, tmp_path: Path):
    """What is written has a vocabulary of its own, and the rows that are held back are drawn by the seed."""
    one = read_record(copy_of(small_run, tmp_path / "one", [3.0, 2.0], [3.0, 2.5]))
    assert isinstance(one.config, RunConfig)
    alike = {
        part: {**getattr(one.config, part), **entries} for part, entries in change.items() if part in ("task", "data")
    }
    other = replace(one, config=replace(one.config, **alike))
    if "training" in change:
        one, other = other, replace(other, config=replace(other.config, training=replace(one.config.training, seed=7)))
        assert best_of([one, one]) == {0}
    assert best_of([one, other]) == set()


def test_settings_that_differ_are_told_apart_from_those_that_are_shared(small_run: Path, tmp_path: Path):
    one = read_record(small_run)
    shutil.copytree(small_run, tmp_path / "other")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    config["training"]["lr"] = 0.5
    (tmp_path / "other" / "config.json").write_text(json.dumps(config))
    table = settings_table([one, read_record(tmp_path / "other")])
    assert table["differ"] == [["lr", f"{one.config.training.lr:g}", "0.5"]]
    assert ["hidden", "48"] in table["same"]
    assert settings_table([one])["differ"] == []


def test_a_long_training_is_thinned_and_keeps_its_best(small_run: Path, tmp_path: Path):
    losses = [1 + 1 / place for place in range(1, 3001)]
    losses[1234] = 0.5
    record: RunRecord = read_record(copy_of(small_run, tmp_path / "long", losses, losses))
    (run,) = described([record])
    assert run["logged"] == 3000
    assert len(run["train"]["loss"]) < 1100
    assert run["valid"]["valid_loss"][run["best"]] == 0.5
    assert run["valid"]["step"][run["best"]] == 12_350


def test_losses_too_large_to_add_are_drawn(small_run: Path, tmp_path: Path):
    record = read_record(copy_of(small_run, tmp_path / "huge", [1e308] * 3000, [1e308] * 3000))
    (run,) = described([record])
    assert None in run["mean"]["loss"]
    assert run["train"]["loss"][0] == 1e308


def test_how_a_table_was_read_is_told_where_it_is_not_the_default(small_run: Path):
    one = read_record(small_run)
    other = replace(one, config=replace(one.config, data={**one.config.data, "examples": {"max_length": 12}}))
    assert ["data: max_length", "-", "12"] in settings_table([one, other])["differ"]
    usual = replace(one, config=replace(one.config, data={**one.config.data, "examples": {"max_length": 1024}}))
    assert settings_table([one, usual])["differ"] == []


def test_a_setting_without_effect_is_an_empty_cell(small_run: Path):
    """An lstm has no heads, and the runs that have agree; what no run uses is not told."""
    one = read_record(small_run)
    assert isinstance(one.config, RunConfig)
    net = replace(one.config.model, model="transformer", heads=8)
    other = replace(one, config=replace(one.config, model=net))
    table = settings_table([one, other])
    assert ["heads", "8"] in table["same"]
    assert ["model", "lstm", "transformer"] in table["differ"]
    third = replace(other, config=replace(other.config, model=replace(net, heads=2)))
    assert ["heads", "", "8", "2"] in settings_table([one, other, third])["differ"]
    names = {row[0] for rows in (table["differ"], table["same"]) for row in rows}
    assert not {"heads", "order"} & {row[0] for row in settings_table([one])["same"]}
    assert "order" not in names
    assert table["commands"][0].startswith("seqtool train")
