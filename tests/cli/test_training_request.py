"""What options and --config come to, and what is wrong with them before any text is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seqtool.cli.training_request import training_request
from seqtool.errors import UsageError
from seqtool.tasks.request import Request
from tests.cli.test_contract import error_of
from tests.conftest import Command

NOTHING: dict[str, Any] = dict.fromkeys(
    ("output", "vocab", "vocab_type", "vocab_size", "valid", "document", "embeddings", "from_run", "watch", "memory")
)


def request(settings: dict[str, Any], config: str | None = None, **options: Any) -> Request:
    return training_request(
        ["a.txt"],
        settings,
        config,
        **{**NOTHING, "grow_vocab": False, "jsonl_field": "", "errors": "strict", "force": False, **options},
    )


def test_settings_go_to_model_and_training_to_the_vocabulary_or_to_the_examples():
    made = request({"hidden": 9, "min_count": 3, "target": "y"}, vocab_type="word")
    assert made.settings == {"hidden": 9}
    assert made.vocabulary == {"type": "word", "min_count": 3}
    assert made.examples == {"target": "y"}


def test_flags_beat_the_file(tmp_path: Path):
    (config := tmp_path / "c.toml").write_text('hidden = 5\nsteps = 9\ntarget = "a"\nignore = "b"\nvalid = 0.2\n')
    made = request({"hidden": 7, "epochs": 2.0, "target": "z"}, str(config))
    assert made.settings == {"hidden": 7, "epochs": 2.0}  # any length beats all of the file's
    assert made.examples == {"target": "z", "ignore": "b"}
    assert made.valid == "0.2"


@pytest.mark.parametrize(
    ("settings", "message"), [({"hidden": 0}, "--hidden 0"), ({"steps": 0}, "--steps 0: leave it out")]
)
def test_what_is_wrong_whatever_the_text_is(settings: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        request(settings)


def test_the_field_of_a_run_is_read_again(seqtool: Command, short_text: Path, tmp_path: Path):
    (config := tmp_path / "c.toml").write_text('jsonl-field = "a"\n')
    assert request({}, str(config)).jsonl_field == "a"
    assert request({}, str(config), jsonl_field="b").jsonl_field == "b"
    (data := tmp_path / "x.jsonl").write_text(json.dumps({"t": short_text.read_text()}) + "\n")
    counting = ("train", data, "--model", "ngram", "-q", "--json")
    for run, given in (("run", ("--jsonl-field", "t")), ("again", ("--config", tmp_path / "run" / "config.json"))):
        result = seqtool(*counting, "-o", tmp_path / run, *given)
        assert result.returncode == 0, result.stderr.decode()
    made = [json.loads((tmp_path / run / "config.json").read_text())["data"] for run in ("run", "again")]
    assert made[0]["jsonl_field"] == made[1]["jsonl_field"] == "t"
    assert made[0]["train_tokens"] == made[1]["train_tokens"]


def test_memory_is_for_counting():
    counting = {"model": "ngram"}
    assert [request(counting, memory=size).memory for size in ("1.5g", "3MB", "77", None)] == [
        3 << 29,
        3 << 20,
        77,
        None,
    ]
    with pytest.raises(UsageError, match="--memory much: write a size as 500M or 2G"):
        request(counting, memory="much")
    with pytest.raises(UsageError, match="--memory is for --model ngram, not gru"):
        request({"model": "gru"}, memory="1G")
    with pytest.raises(UsageError, match="--memory is for --model ngram, not lstm"):
        request({}, memory="1G")


@pytest.mark.parametrize(("flags", "message"), [
    (["--resume", "--symbols", "<user>"], "--symbols names another"),
    (["--resume", "--split-digits"], "--split-digits names another"),
    (["--vocab", "v", "--symbols", "<a>"], "--symbols: v has a whole vocabulary"),
    (["--vocab", "v", "--split-digits"], "--split-digits: v has a whole vocabulary"),
    (["--vocab-type", "char", "--split-digits"], "--split-digits is for vocabularies of type bpe and unigram, not char"),
    (["--symbols", "a b"], "--symbols 'a b': a symbol has no white space"),
])  # fmt: skip
def test_symbols_that_do_not_fit_are_refused(
    seqtool: Command, small_run: Path, prose_file: Path, tmp_path: Path, flags: list[str], message: str
):
    where = ["-o", small_run] if "--resume" in flags else ["-o", tmp_path / "run"]
    (tmp_path / "v").write_bytes((small_run / "vocab.model").read_bytes())
    assert message in error_of(seqtool("train", prose_file, *where, *flags, cwd=tmp_path), 2)


def test_a_store_has_no_field_and_is_validated_on_and_watched_as_its_text_is(
    seqtool: Command, small_run: Path, short_text: Path, tmp_path: Path
):
    store = tmp_path / "store"
    assert seqtool("encode", short_text, "--vocab", small_run / "vocab.model", "-o", store, "-q").returncode == 0
    train = ["train", store, "--from", small_run, "-q", "--steps", 1, "--json"]
    field = ["--jsonl-field", "t", "-o", tmp_path / "run"]
    assert f"--jsonl-field: {store} is encoded already" in error_of(seqtool(*train, *field), 2)
    told = []
    for name, text in (("text", short_text), ("stored", store)):
        result = seqtool(*train, "-o", tmp_path / name, "--valid", text, "--watch", text)
        assert result.returncode == 0, result.stderr.decode()
        told.append({name: value for name, value in json.loads(result.stdout).items() if "nats" in name})
    assert told[0] == told[1]
    assert "watched_nats_per_token_after" in told[0]
