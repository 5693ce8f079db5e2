"""The configuration of a mixture: what was written is read, and nothing else."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from seqtool.errors import InputError
from seqtool.runs.config import is_mixture, read_config
from seqtool.runs.mixtures import MixtureConfig, read_mixture, write_mixture
from seqtool.text.vocabulary import load_vocabulary

CONFIG = MixtureConfig((0.25, 0.75), ("a" * 64, "b" * 64), ("ngram", "lstm"), 7, "c" * 64, {"document": "line"}, {})


@pytest.fixture
def mixture(small_run: Path, tmp_path: Path) -> Path:
    write_mixture(tmp_path, CONFIG, load_vocabulary(small_run / "vocab.model"))
    return tmp_path


def test_what_was_written_is_read(mixture: Path):
    assert is_mixture(mixture)
    assert read_mixture(mixture) == CONFIG
    with pytest.raises(InputError, match=r"is a mixture of runs: name one of them, such as .*parts/1"):
        read_config(mixture)


@pytest.mark.parametrize("weights", [(), (0.5, 0.3, 0.2)])
def test_one_with_gates_has_a_weight_of_theirs_or_none(weights: tuple[float, ...], small_run: Path, tmp_path: Path):
    gated = dataclasses.replace(CONFIG, weights=weights, gates_tokens=9)
    write_mixture(tmp_path, gated, load_vocabulary(small_run / "vocab.model"))
    assert read_mixture(tmp_path) == gated
    assert (gated.name, CONFIG.name) == ("gated", "mixture")
    assert gated.parts_sha256 == CONFIG.parts_sha256 != dataclasses.replace(CONFIG, parts=("a", "b")).parts_sha256


@pytest.mark.parametrize(
    "edit",
    [
        {"weights": [2.0, -1.0]},
        {"weights": [1.0]},
        {"weights": [0.3, 0.3]},
        {"weights": [1, 0]},
        {"weights": ["0.5", "0.5"]},
        {"weights": 3},
        {"weights": []},
        {"gates_tokens": 5},
        {"gates_tokens": -1},
        {"gates_tokens": True},
        {"gates_tokens": "9"},
        {"weights": [float("nan"), 1.0]},
        {"parts": ["a"]},
        {"parts": [1, 2]},
        {"models": None},
        {"parameters": "7"},
        {"data": []},
        {"data": {"document": 3}},
        {"made_by": "me"},
        {"weights": [], "parts": [], "models": []},
        {"weights": [1 / 17] * 17, "parts": ["a"] * 17, "models": ["a"] * 17},
    ],
    ids=str,
)
def test_an_edited_one_is_refused(mixture: Path, edit: dict[str, object]):
    content = json.loads((mixture / "config.json").read_text())
    (mixture / "config.json").write_text(json.dumps({**content, **edit}))
    with pytest.raises(InputError, match="it was edited"):
        read_mixture(mixture)


@pytest.mark.parametrize("name", [one.name for one in dataclasses.fields(CONFIG) if one.name != "gates_tokens"])
def test_one_that_lacks_something_is_refused(mixture: Path, name: str):
    content = json.loads((mixture / "config.json").read_text())
    del content[name]
    (mixture / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"lacks '{name}'"):
        read_mixture(mixture)
