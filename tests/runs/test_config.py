"""The configuration of a run: what counts in its hashes, and what is refused of one that was edited."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from seqtool.errors import InputError
from seqtool.files.writing import canonical_sha256
from seqtool.runs.config import ADDED, RunConfig, is_mixture, is_run, learned_texts, read_config
from seqtool.settings.model import ModelConfig, Symbols
from seqtool.settings.training import TrainConfig


def test_added_settings_count_in_a_hash_only_where_they_are_not_the_default(small_run: Path):
    config = read_config(small_run)
    told = {name: value for name, value in dataclasses.asdict(config.model).items() if name not in ADDED}
    assert config.model_sha256 == canonical_sha256([told, dataclasses.asdict(config.symbols)])
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, output_bias=False))
    assert other.model_sha256 != config.model_sha256


@pytest.mark.parametrize(
    "model, expected",
    [
        ("lstm", "617b98055374c775"),
        ("gru", "d33a750cec2bdc65"),
        ("rnn", "a7e2a0ebd857d5f9"),
        ("ffn", "e34aad6cda360116"),
        ("transformer", "cf82ddd0045c0b55"),
        ("mingru", "b99e00b790edb870"),
        ("gdn", "5307ca4cd00b7f2b"),
    ],
)
def test_runs_made_before_still_own_their_weights(model: str, expected: str):
    """A new setting that is not among those ADDED would make every run's weights another's: this is what they say."""
    config = RunConfig(
        ModelConfig(model=model, hidden=32, heads=2, layers=2), TrainConfig(), Symbols(300, 1, 60, 1000), "a" * 64,
        {"train": "x"}, {},
    )  # fmt: skip
    assert config.model_sha256.startswith(expected)
    assert config.training_sha256.startswith("0786bf372ea19d9a")


def test_a_switch_of_runs_made_before_is_read_and_counts_in_the_hash_as_it_did(small_run: Path, tmp_path: Path):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    content = json.loads((run / "config.json").read_text())
    for then, now in ((False, ""), (True, "embedding")):
        content["training"]["freeze"] = then
        (run / "config.json").write_text(json.dumps(content))
        config = read_config(run)
        assert config.training.freeze == now
        assert (
            config.training_sha256
            != dataclasses.replace(config, training=dataclasses.replace(config.training, freeze="core")).training_sha256
        )
    hashes = {
        RunConfig(ModelConfig(), TrainConfig(freeze=freeze), Symbols(300, 1, 60, 1000), "", {}, {}).training_sha256
        for freeze in ("", "embedding", "core")
    }
    assert len(hashes) == 3


@pytest.mark.parametrize("held_back", [{"ends": 1, "files": 1, "share": 0.1}, {"whole": "x"}, 3, []])
def test_an_edited_record_of_what_is_held_back_is_refused(small_run: Path, tmp_path: Path, held_back: object):
    run = tmp_path / "run"
    shutil.copytree(small_run, run)
    content = json.loads((run / "config.json").read_text())
    content["data"]["held_back"] = held_back
    (run / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="value of the wrong kind: it was edited"):
        read_config(run)


def test_what_is_no_run_is_no_mixture_either(small_run: Path, tmp_path: Path):
    assert (is_run(small_run), is_mixture(small_run)) == (True, False)
    assert (is_run(tmp_path), is_mixture(tmp_path)) == (False, False)


@pytest.mark.parametrize("edit", [
    {"from": "x"}, {"from": {"name": 5}}, {"from": {"learned": 5}}, {"from": {"learned": [5]}}, {"from": {"grown": "x"}},
    {"old_text": 5}, {"old_text": {"paths": 5}}, {"old_text": {"valid": 5}}, {"watch": 5}, {"averaged": 5},
    {"averaged": ["x"]}, {"paths": [1]}, {"sha256": 5}, {"jsonl_field": 5}, {"valid_path": []},
])  # fmt: skip
def test_a_record_of_other_texts_and_runs_that_was_edited_is_refused(small_run: Path, tmp_path: Path, edit: dict):
    content = json.loads((small_run / "config.json").read_text())
    content["data"] |= edit
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="holds a value of the wrong kind: it was edited"):
        read_config(tmp_path)


def test_what_was_learned_is_known_through_starts_and_means():
    mean = {"sha256": "a", "averaged": [{"learned": ["a", "b"]}, {"learned": ["c"]}], "from": {"learned": ["d"]}}
    assert learned_texts(mean) == {"a", "b", "c", "d"}
    assert learned_texts({"imported": "x", "from": {"name": "of before"}}) == set()
