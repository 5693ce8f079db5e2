"""`seqtool bench`, through the real command, on models so small that all is quick."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from typing import Any

import pytest
import torch

from seqtool.bench.memory import available_bytes
from seqtool.native.loading import describe
from seqtool.settings.architectures import nets
from tests.cli.test_contract import error_of
from tests.conftest import Command

LANGUAGE_MODELS = nets("language")
TINY = ["--hidden", 16, "--layers", 1, "--batch-size", 2, "--vocab-size", 20, "--seconds", 0.02, "--precision", "fp32"]


@pytest.fixture(scope="module")
def whole(seqtool: Command, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[bytes]:
    """All models, in a directory in which nothing is to be written."""
    here = tmp_path_factory.mktemp("bench")
    result = seqtool("bench", *TINY, "--json", cwd=here)
    assert result.returncode == 0, result.stderr.decode()
    assert list(here.iterdir()) == []
    return result


@pytest.fixture(scope="module")
def report(whole: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    return json.loads(whole.stdout)


def test_the_report_is_one_object_that_says_what_made_it(whole: subprocess.CompletedProcess[bytes]):
    assert whole.stdout.count(b"\n") == 1
    report = json.loads(whole.stdout)
    assert set(report) == {
        "machine", "training", "generation", "others_cpu_share", "fastest", "vocab_size", "seconds", "settings", "made_by"
    }  # fmt: skip
    assert report["made_by"]["program"] == "seqtool"
    assert (report["vocab_size"], report["seconds"]) == (20, 0.02)
    assert {name: settings["hidden"] for name, settings in report["settings"].items()} == dict.fromkeys(
        LANGUAGE_MODELS, 16
    )
    assert b"measurements" in whole.stderr


def test_the_machine_has_its_limits(report: dict[str, Any]):
    machine = report["machine"]
    assert machine["torch"] == torch.__version__
    assert machine["threads"] == 1  # OMP_NUM_THREADS of tests/conftest.py
    assert machine["name"]
    assert list(machine["matrix_gflops_per_s"]) == ["fp32"]
    assert min(machine["matrix_gflops_per_s"]["fp32"], machine["read_gb_per_s"], machine["copy_gb_per_s"]) > 0
    assert machine["parts"] == {name: dataclasses.asdict(part) for name, part in describe().items()}


def test_every_model_trains_with_three_batches(report: dict[str, Any]):
    rows = report["training"]
    assert [(row["model"], row["batch_size"]) for row in rows] == [
        (name, size) for name in LANGUAGE_MODELS for size in (2, 4, 8)
    ]
    for row in rows:
        assert row["matrix_gflops_per_s"] == report["machine"]["matrix_gflops_per_s"][row["precision"]]
        assert row["gflops_per_s"] == pytest.approx(row["tokens_per_s"] * row["flops_per_token"] / 1e9)
        assert row["share"] == pytest.approx(row["gflops_per_s"] / row["matrix_gflops_per_s"])
        assert 0 < row["share"] < 1


def test_the_fastest_is_the_one_with_most_tokens_per_second(report: dict[str, Any]):
    assert list(report["fastest"]) == list(LANGUAGE_MODELS)
    for name, best in report["fastest"].items():
        rows = [row for row in report["training"] if row["model"] == name]
        assert best == max(rows, key=lambda row: row["tokens_per_s"])


def test_every_model_generates_one_stream_and_many(report: dict[str, Any]):
    rows = report["generation"]
    assert [(row["model"], row["streams"]) for row in rows] == [
        (name, streams) for name in LANGUAGE_MODELS for streams in (1, 64)
    ]
    for row in rows:
        assert row["read_gb_per_s"] == report["machine"]["read_gb_per_s"]
        assert row["weight_gb_per_s"] == pytest.approx(row["tokens_per_s"] / row["streams"] * row["weight_bytes"] / 1e9)
        assert row["share"] == pytest.approx(row["weight_gb_per_s"] / row["read_gb_per_s"])


@pytest.mark.slow
def test_a_person_gets_tables_and_advice_and_quiet_is_quiet(seqtool: Command):
    result = seqtool("bench", *TINY, "--model", "gru", "--model", "gru", "--bptt", 5, "-q")
    assert (result.returncode, result.stderr) == (0, b"")
    text = result.stdout.decode()
    for name, part in describe().items():
        assert f"{name:<10}  {part}\n" in text
    for words in ("GFLOP/s:", "GB/s:", "gru: fastest with --precision fp32 --batch-size ", "Speed is not quality"):
        assert words in text
    assert text.count("\ngru 1 x 16 ") == 5  # three batches, one stream and many
    assert "lstm" not in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(("arguments", "message"), [
    (["--model", "lsmt"], "--model 'lsmt': did you mean lstm? choose from rnn, gru, lstm, ffn, transformer, mingru, gdn"),
    (["--device", "tpu"], "choose from auto, cpu, cuda"),
    (["--seconds", "0"], "--seconds 0"),
    (["--seconds", "nan"], "--seconds nan"),
    (["--vocab-size", "1"], "--vocab-size"),
    (["--hidden", "0", "--bptt", "0"], "--hidden 0: at least 1; --bptt 0: at least 1"),
    (["--bptt", "5"], "of transformer: name the models that you mean with --model"),
    (["--bptt", "full", "--model", "lstm"], "give a number of time steps"),
    (["--precision", "fp16", "--device", "cpu"], "no instructions for it; choose from fp32"),
    (["--hidden", "65536", "--layers", "500"], "choose smaller ones"),
    (["--steps", "5"], "--steps"),
    (["text"], "text"),
])  # fmt: skip
def test_wrong_usage_is_2(seqtool: Command, arguments: list[str], message: str):
    assert message in error_of(seqtool("bench", "-q", *arguments), 2)


def test_a_cuda_device_that_is_not_there_is_2(seqtool: Command):
    if torch.cuda.is_available():
        pytest.skip("it is there")
    assert "0 CUDA devices" in error_of(seqtool("bench", "--device", "cuda"), 2)


def test_a_model_that_does_not_fit_into_memory_is_1(seqtool: Command):
    if (available_bytes(torch.device("cpu")) or 0) > 150e9:
        pytest.skip("it fits")
    told = error_of(seqtool("bench", "-q", "--model", "rnn", "--hidden", 65536, "--layers", 2), 1)
    assert "not enough memory: training rnn takes" in told
