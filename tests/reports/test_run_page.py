"""The page of runs: self-contained, small, and made of text whatever names say."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

from seqtool.reports.curves import read_record
from seqtool.reports.run_page import run_page
from seqtool.runs.config import METRICS


def data_of(page: bytes) -> Any:
    (data,) = re.findall(r'id="data">(.*?)</script>', page.decode(), re.DOTALL)
    return json.loads(data)


def long_metrics(file: Path, steps: int, seed: int) -> None:
    """Metrics of so many steps, as often as a training logs them."""
    with open(file, "w") as stream:
        for step in range(10, steps + 1, 10):
            loss = 2 + 5 / step + 0.1 * ((step * (seed + 7)) % 101) / 101
            common = f'"step": {step}, "tokens": {512 * step}, "elapsed_s": {step / 37:.9f}'
            stream.write(
                f'{{{common}, "loss": {loss:.12f}, "lr": {1 / (999 + step):.12f}, "grad_norm": {loss / 7:.12f}, '
                f'"skipped": {step // 9999}, "tokens_per_s": {18944.123 + step % 100}}}\n'
            )
            if step % 1000 == 0:
                stream.write(f'{{{common}, "valid_loss": {loss + 0.3:.12f}, "best_step": {step}}}\n')


def test_hostile_names_are_text_and_nothing_is_fetched(small_run: Path, tmp_path: Path):
    hostile = tmp_path / "<script>alert(1)<&>\u202e{{DATA}}"
    shutil.copytree(small_run, hostile)
    page = run_page([read_record(hostile)])
    data = data_of(page)
    assert data["runs"][0]["name"] == "<script>alert(1)<&>\\u202e{{DATA}}"
    assert page.count(b"<script") == 2
    assert b"default-src 'none'" in page
    assert not re.search(rb"https?:(?!//www\.w3\.org/2000/svg)", page)


def test_ten_runs_of_a_hundred_thousand_steps_are_a_small_page(small_run: Path, tmp_path: Path):
    runs = [tmp_path / str(number) for number in range(10)]
    for number, run in enumerate(runs):
        shutil.copytree(small_run, run)
        long_metrics(run / METRICS, 100_000, number)
    records = [read_record(run) for run in runs]
    began = time.monotonic()
    page = run_page(records)
    assert time.monotonic() - began < 10
    assert len(page) < 1_000_000
    run = data_of(page)["runs"][0]
    assert run["logged"] == 10_000
    assert run["skipped"] == 10
    assert len(run["skips"]["step"]) == 10
