"""`seqtool mix`, by the real command."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.test_contract import error_of
from tests.cli.test_export import counts as counts
from tests.conftest import Command

NET = ("--model", "lstm", "--hidden", 32, "--steps", 150, "--seed", 3, "-q")


@pytest.fixture(scope="session")
def texts(prose: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "valid.txt").write_text(prose[8000:12000])
    (folder / "test.txt").write_text(prose[12000:16000])
    return folder


@pytest.fixture(scope="session")
def net(seqtool: Command, counts: Path, short_text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "net"
    trained = seqtool("train", short_text, "-o", path, "--vocab", counts / "vocab.model", *NET)
    assert trained.returncode == 0, trained.stderr.decode()
    return path


@pytest.fixture(scope="session")
def both(seqtool: Command, counts: Path, net: Path, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "both"
    result = seqtool("mix", counts, net, "-o", path, "--valid", texts / "valid.txt", "--json")
    assert result.returncode == 0, result.stderr.decode()
    assert "next: seqtool eval" in result.stderr.decode()
    told = json.loads(result.stdout)
    weights = [part["weight"] for part in told["parts"]]
    assert sum(weights) == pytest.approx(1)
    assert min(weights) > 0
    assert told["valid_nats_per_token"] < min(part["nats_per_token"] for part in told["parts"])
    return path


def test_texts_may_lie_in_a_field_of_json_lines(
    seqtool: Command, counts: Path, net: Path, both: Path, texts: Path, tmp_path: Path
):
    (tmp_path / "valid.jsonl").write_text(json.dumps({"t": (texts / "valid.txt").read_text()}))
    asked = ("mix", counts, net, "-o", tmp_path / "run", "--json")
    result = seqtool(*asked, "--valid", tmp_path / "valid.jsonl", "--jsonl-field", "t")
    assert result.returncode == 0, result.stderr.decode()
    weights = [json.loads((run / "config.json").read_text())["weights"] for run in (both, tmp_path / "run")]
    assert weights[0] == weights[1]
    assert "--jsonl-field: no text is read" in error_of(seqtool(*asked, "--jsonl-field", "t", "--force"), 2)


def nats(seqtool: Command, run: Path, text: Path) -> float:
    return float(json.loads(seqtool("eval", run, text, "--json").stdout)["nats"])


def test_a_mixture_predicts_better_than_its_parts_on_other_text(
    seqtool: Command, both: Path, counts: Path, net: Path, texts: Path
):
    parts = [nats(seqtool, run, texts / "test.txt") for run in (counts, net)]
    assert nats(seqtool, both, texts / "test.txt") < min(parts)
    table = seqtool("eval", both, counts, net, "--text", texts / "test.txt").stdout.decode().splitlines()
    assert [line.split()[1] for line in table[1:]] == ["mixture", "ngram", "lstm"]
    assert table[1].endswith("best")


def test_it_is_a_run_like_any_other(seqtool: Command, both: Path, net: Path, texts: Path, tmp_path: Path):
    rows = seqtool("eval", both, texts / "test.txt", "--per", "line", "--carry").stdout.decode().splitlines()
    total = nats(seqtool, both, texts / "test.txt")
    assert sum(float(row.split("\t")[0]) for row in rows) == pytest.approx(total, rel=1e-5)
    made = [
        seqtool("generate", both, "--prompt", "the", "--max-tokens", 20, "--seed", seed).stdout for seed in (1, 1, 2)
    ]
    assert made[0].startswith(b"the")
    assert made[0] == made[1] != made[2]
    constrained = seqtool("generate", both, "--constrain", "[a-z]{4}", "--seed", 1)
    assert re.fullmatch(rb"[a-z]{4}", constrained.stdout.strip())
    told = json.loads(seqtool("info", both, "--json").stdout)
    assert (told["model"], told["models"]) == ("mixture", ["ngram", "lstm"])
    moved = tmp_path / "moved"
    os.rename(both, moved)
    try:
        assert nats(seqtool, moved, texts / "test.txt") == total  # it holds what it needs
    finally:
        os.rename(moved, both)


def test_what_takes_one_model_says_so(seqtool: Command, both: Path, texts: Path, tmp_path: Path):
    for words in (
        ["train", texts / "test.txt", "-o", both, "--resume"],
        ["train", texts / "test.txt", "-o", tmp_path / "x", "--from", both],
        ["export", both, "-o", tmp_path / "x.arpa"],
    ):
        assert "is a mixture of runs: name one of them, such as" in error_of(seqtool(*words), 3)
    assert "has no vectors of its own" in error_of(seqtool("embed", "from", both, "-o", tmp_path / "v"), 3)
    assert "is a mixture of runs" in error_of(seqtool("predict", both, texts / "test.txt"), 3)
    assert "counts have no weights to keep in fewer bits" in error_of(
        seqtool("generate", both, "--precision", "int8"), 2
    )
    assert not list(tmp_path.iterdir())


def test_wrong_parts_are_refused_and_nothing_is_left(
    seqtool: Command, both: Path, counts: Path, net: Path, small_run: Path, texts: Path, tmp_path: Path
):
    out, valid = tmp_path / "out", ["--valid", texts / "valid.txt"]
    for runs, told, code in (
        ([counts], "2 to 16 runs, not 1", 2),
        ([counts, small_run], "another vocabulary", 2),
        ([counts, both], "is a mixture itself", 3),
        ([counts, tmp_path / "none"], "does not exist", 3),
        ([counts, texts], "is not a run directory", 3),
    ):
        assert told in error_of(seqtool("mix", *runs, "-o", out, *valid), code)
    assert "does not exist" in error_of(seqtool("mix", counts, net, "-o", out, "--valid", tmp_path / "none"), 3)
    assert "exists already" in error_of(seqtool("mix", counts, net, "-o", both, *valid), 2)
    assert not list(tmp_path.iterdir())


def test_an_edited_mixture_is_refused_in_a_sentence(seqtool: Command, both: Path, texts: Path):
    file = both / "config.json"
    before = file.read_bytes()
    try:
        for edit in ({"weights": [2.0, -1.0]}, {"parts": ["x", "y"]}):
            file.write_text(json.dumps({**json.loads(before), **edit}))
            assert error_of(seqtool("eval", both, texts / "test.txt"), 3)
    finally:
        file.write_bytes(before)


def test_a_part_that_is_missing_or_cut_short_is_named(seqtool: Command, both: Path, texts: Path):
    weights = both / "parts" / "2" / "model.safetensors"
    content = weights.read_bytes()
    try:
        weights.write_bytes(content[:-8])
        assert str(weights) in error_of(seqtool("eval", both, texts / "test.txt"), 3)
        weights.unlink()
        assert "parts/2 has no model.safetensors" in error_of(seqtool("eval", both, texts / "test.txt"), 3)
    finally:
        weights.write_bytes(content)


@pytest.fixture(scope="session")
def gated(seqtool: Command, net: Path, short_text: Path, texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "gated"
    result = seqtool("mix", net, "-o", path, "--gated", "--read", short_text, "--valid", texts / "valid.txt", "--json")
    assert result.returncode == 0, result.stderr.decode()
    assert "--adapt" in result.stderr.decode()
    told = json.loads(result.stdout)
    assert told["read_tokens"] > told["valid_tokens"] > 0
    assert told["valid_adapted_nats_per_token"] > 0
    assert [part["run"] for part in told["parts"]] == ["gates", str(net)]
    assert sum(part["weight"] for part in told["parts"]) == pytest.approx(1)
    return path


def test_gates_beat_a_linear_mixture_and_beat_themselves_adapted(
    seqtool: Command, gated: Path, both: Path, texts: Path
):
    report = json.loads(seqtool("eval", gated, texts / "test.txt", "--adapt", "--json").stdout)
    assert report["nats"] < nats(seqtool, both, texts / "test.txt")
    assert report["adapted_nats"] < report["nats"]
    assert "adapt_rate" not in report
    table = seqtool("eval", gated, both, "--text", texts / "test.txt").stdout.decode().splitlines()
    assert table[1].split()[1] == "gated"
    assert table[1].endswith("best")
    rows = seqtool("eval", gated, texts / "test.txt", "--per", "line", "--carry").stdout.decode().splitlines()
    assert sum(float(row.split("\t")[0]) for row in rows) == pytest.approx(report["nats"], rel=1e-5)
    assert json.loads(seqtool("info", gated, "--json").stdout)["model"] == "gated"


def test_gates_generate_and_adapt_to_a_text_first(
    seqtool: Command, gated: Path, net: Path, texts: Path, tmp_path: Path
):
    made = {}
    for run in (gated, net):
        asked = ["generate", run, "--prompt", "the", "--max-tokens", 30, "--seed", 1]
        plain, again, adapted = (seqtool(*asked, *more).stdout for more in ((), (), ("--adapt-to", texts / "test.txt")))
        assert plain == again != adapted
        assert adapted.startswith(b"the")
        made[run] = adapted
    assert made[gated] != made[net]
    (tmp_path / "test.jsonl").write_text(json.dumps({"t": (texts / "test.txt").read_text()}))
    assert seqtool(*asked, "--adapt-to", tmp_path / "test.jsonl", "--jsonl-field", "t").stdout == made[net]


def test_flags_without_effect_are_refused(seqtool: Command, gated: Path, net: Path, texts: Path, tmp_path: Path):
    test = texts / "test.txt"
    out = ["-o", tmp_path / "out"]
    for words, why in (
        (["mix", net, *out, "--gated"], "give --read, --valid or both"),
        (["mix", net, net, *out, "--valid", test, "--read", test], "--read: only --gated counts"),
        (["mix", net, net, *out, "--memory", "5M"], "--memory: only --gated counts"),
        (["mix", net, *out], "2 to 16 runs"),
        (["mix", net, *out, "--gated", "--valid", test, "--memory", "lots"], "write a size"),
        (["eval", gated, test, "--adapt", "--adapt-rate", 0.1], "at a rate of their own"),
        (["mix", gated, net, *out, "--valid", test], "is a mixture itself"),
    ):
        assert why in error_of(seqtool(*words), 3 if "mixture itself" in why else 2)
    assert not (tmp_path / "out").exists()


def test_without_a_text_the_weights_are_equal(seqtool: Command, counts: Path, net: Path, tmp_path: Path):
    result = seqtool("mix", counts, net, "-o", tmp_path / "equal", "--json")
    assert result.returncode == 0, result.stderr.decode()
    told = json.loads(result.stdout)
    assert [part["weight"] for part in told["parts"]] == [0.5, 0.5]
    assert told["valid_nats_per_token"] is None
