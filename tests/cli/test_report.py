"""`seqtool report`: the page of runs, also while a training goes on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seqtool.runs.config import METRICS
from tests.cli.test_contract import error_of
from tests.conftest import Command, Start
from tests.reports.test_run_page import data_of


def test_the_page_has_what_the_runs_logged(seqtool: Command, small_run: Path, tmp_path: Path):
    result = seqtool("report", small_run, "-o", tmp_path / "r.html")
    assert (result.returncode, result.stdout) == (0, b"")
    assert b"open" in result.stderr
    page = (tmp_path / "r.html").read_bytes()
    assert len(page) < 200_000
    (run,) = data_of(page)["runs"]
    lines = [json.loads(line) for line in (small_run / METRICS).read_text().splitlines()]
    assert run["valid"]["valid_loss"] == [line["valid_loss"] for line in lines if "valid_loss" in line]
    assert (run["name"], run["training"]) == ("small", False)
    assert data_of(page)["follow"] == 0
    shown = seqtool("report", small_run, "-o", "-", "-q")
    assert data_of(shown.stdout)["runs"] == [run]


def test_counts_and_mixtures_say_what_they_lack(seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path):
    vocabulary = small_run / "vocab.model"
    for command in (
        ("train", prose_file, "--vocab", vocabulary, "--model", "ngram", "--order", 3, "-o", tmp_path / "counts", "-q"),
        ("mix", small_run, tmp_path / "counts", "-o", tmp_path / "mixed", "-q"),
        ("report", small_run, tmp_path / "counts", tmp_path / "mixed", "-o", tmp_path / "r.html"),
    ):
        result = seqtool(*command)
        assert result.returncode == 0, result.stderr.decode()
    _, counts, mixed = data_of((tmp_path / "r.html").read_bytes())["runs"]
    assert counts["counted"]
    assert "nothing was trained" in counts["remark"]
    assert "no metrics of its own" in mixed["remark"]


def test_a_text_is_read_by_the_language_models(seqtool: Command, small_run: Path, prose: str, tmp_path: Path):
    (tmp_path / "t.txt").write_text(prose[:3000])
    result = seqtool("report", small_run, small_run, "--text", tmp_path / "t.txt", "-o", tmp_path / "r.html")
    assert result.returncode == 0, result.stderr.decode()
    one, other = data_of((tmp_path / "r.html").read_bytes())["texts"]
    scored = json.loads(seqtool("eval", small_run, tmp_path / "t.txt", "--json").stdout)
    assert one["total_nats"] == pytest.approx(scored["nats"], rel=1e-5)
    assert one["tokens"] == scored["tokens"]
    assert (one["run"], other["run"], one["shown"]) == (0, 1, 2500)
    rows = seqtool("eval", small_run, tmp_path / "t.txt", "--per", "token").stdout.decode().splitlines()
    assert one["nats"] == pytest.approx([float(row.split("\t")[0]) for row in rows[:2500]], abs=1e-3)
    piped = seqtool("report", small_run, "--text", "-", "-o", "-", stdin=prose[:3000].encode())
    assert data_of(piped.stdout)["texts"][0]["total_nats"] == pytest.approx(scored["nats"], rel=1e-5)


def test_a_text_that_nothing_reads_is_refused(seqtool: Command, small_run: Path, translator: Path, tmp_path: Path):
    (tmp_path / "t.txt").write_text("text")
    page = tmp_path / "r.html"
    asked = ("report", translator / "run", "-o", page)
    assert "none of these runs is one" in error_of(seqtool(*asked, "--text", tmp_path / "t.txt"), 2)
    assert seqtool(*asked).returncode == 0
    asked = ("report", small_run, "-o", tmp_path / "s.html")
    assert "does not exist" in error_of(seqtool(*asked, "--text", tmp_path / "none"), 3)
    assert "leave it out" in error_of(seqtool(*asked, "--errors", "replace"), 2)
    (tmp_path / "bad").write_bytes(b"a\xff")
    assert "UTF-8" in error_of(seqtool(*asked, "--text", tmp_path / "bad"), 3)
    assert not (tmp_path / "s.html").exists()
    assert seqtool(*asked, "--text", tmp_path / "bad", "--errors", "replace").returncode == 0


def test_what_is_no_run_or_has_no_place_is_refused(seqtool: Command, small_run: Path, tmp_path: Path):
    page = tmp_path / "r.html"
    (tmp_path / "empty").mkdir()
    assert "not a run directory" in error_of(seqtool("report", tmp_path / "empty", "-o", page), 3)
    assert "does not exist" in error_of(seqtool("report", tmp_path / "none", "-o", page), 3)
    assert "standard output" in error_of(seqtool("report", small_run, "-o", "-", "--follow"), 2)
    assert "an input" in error_of(seqtool("report", small_run, "-o", small_run / "r.html"), 2)
    assert "--device is where" in error_of(seqtool("report", small_run, "-o", page, "--device", "cpu"), 2)
    assert "at most 50" in error_of(seqtool("report", *[small_run] * 51, "-o", page), 2)
    page.write_bytes(b"mine")
    assert "--force" in error_of(seqtool("report", small_run, "-o", page), 2)
    assert page.read_bytes() == b"mine"
    assert seqtool("report", small_run, "-o", page, "--force").returncode == 0


def wait_for(page: Path, ready: Callable[[Any], bool]) -> Any:
    """The data of the page, once it is as wanted; at no time is it half written."""
    until = time.monotonic() + 60
    while True:
        if page.exists():
            data = data_of(page.read_bytes())
            if ready(data):
                return data
        assert time.monotonic() < until
        time.sleep(0.05)


def test_follow_writes_again_until_the_training_ends(start: Start, prose_file: Path, tmp_path: Path):
    run, page = tmp_path / "run", tmp_path / "r.html"
    following = start("report", run, "-o", page, "--follow")
    steps = ("--hidden", 48, "--steps", 100_000, "--eval-every", 20, "--vocab-type", "char")
    training = start("train", prose_file, "-o", run, *steps)
    first = wait_for(page, lambda data: data["runs"][0]["valid"]["step"])
    assert first["follow"] > 0
    assert first["runs"][0]["training"]
    seen = len(first["runs"][0]["valid"]["step"])
    wait_for(page, lambda data: len(data["runs"][0]["valid"]["step"]) > seen)
    training.send_signal(signal.SIGTERM)
    assert training.wait() == 128 + signal.SIGTERM
    assert following.wait() == 0
    last = data_of(page.read_bytes())
    assert (last["follow"], last["followed"], last["runs"][0]["training"]) == (0, True, False)
    logged = sum(b'"loss"' in line for line in (run / METRICS).read_bytes().splitlines())
    assert last["runs"][0]["logged"] == logged


def test_follow_of_a_run_that_is_done_ends_and_one_that_is_stopped_leaves_a_page(
    seqtool: Command, start: Start, small_run: Path, tmp_path: Path
):
    page = tmp_path / "r.html"
    assert seqtool("report", small_run, "-o", page, "--follow").returncode == 0
    assert data_of(page.read_bytes())["follow"] == 0
    waiting = start("report", tmp_path / "none", "-o", tmp_path / "n.html", "--follow")
    time.sleep(1)
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait() == 128 + signal.SIGINT
    assert not (tmp_path / "n.html").exists()
