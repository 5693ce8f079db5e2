"""What generation does where nothing is asked of it."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from seqtool.generation.sampling import choose
from seqtool.generation.steering import Steering
from seqtool.settings.checking import check
from seqtool.settings.generation import MAX_BEAM_TOKENS, GenerateConfig

FIELDS = {item.name: item.metadata for item in dataclasses.fields(GenerateConfig)}
DRAWS = 1000
LOG_P = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()


def probabilities(config: GenerateConfig) -> list[float]:
    """How often each token is chosen, by DRAWS even draws."""
    uniform = (torch.arange(DRAWS) + 0.5) / DRAWS
    chosen = choose(LOG_P.expand(DRAWS, -1), config, uniform).flatten()
    return (chosen.bincount(minlength=LOG_P.shape[1]) / DRAWS).tolist()


def test_by_default_only_the_temperature_changes_probabilities():
    expected = (LOG_P / GenerateConfig().temperature).softmax(-1)
    assert probabilities(GenerateConfig()) == pytest.approx(expected[0].tolist(), abs=2 / DRAWS)
    assert not Steering(GenerateConfig(), 1).by_token


@pytest.mark.parametrize(("narrowed", "left"), [
    ({"top_k": 2}, 2), ({"top_p": 0.7}, 2), ({"min_p": 0.2}, 3), ({"top_k": 3, "min_p": 0.5}, 2),
])  # fmt: skip
def test_what_narrows_the_choice_leaves_the_likeliest(narrowed: dict[str, float], left: int):
    found = probabilities(GenerateConfig(temperature=1.0, **narrowed))
    assert [share > 0 for share in found] == [place < left for place in range(4)]


def test_help_says_how_long_a_beam_gets():
    assert f"{MAX_BEAM_TOKENS:,} tokens at most" in FIELDS["until_end"]["help"]


@pytest.mark.parametrize(("name", "edge", "beyond"), [
    ("temperature", 0.0, -0.1), ("top_p", 1.0, 1.1), ("repetition_penalty", 0.001, 0.0), ("beam", 1024, 1025),
    ("max_tokens", 0, -1),
])  # fmt: skip
def test_a_limit_may_be_reached_and_not_passed(name: str, edge: float, beyond: float):
    assert check(GenerateConfig(**{name: edge})) == []
    assert f"--{name.replace('_', '-')} {beyond}" in check(GenerateConfig(**{name: beyond}))[0]
