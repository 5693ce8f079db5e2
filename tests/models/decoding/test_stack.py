"""mingru and gdn a token at a time; that steps are the model's is in test_stepper."""

from __future__ import annotations

import pytest
import torch

from seqtool.models.decoding import compiled_step
from seqtool.models.decoding.stack import StackSteps
from seqtool.models.state import rows_of
from tests.models.cores.test_stack import NAMES, numbers
from tests.zoo import V, zoo_model

IDS = torch.randint(V, (3, 9), generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compiled", [True, "one row", False])
def test_rows_are_put_kept_and_stepped(name: str, compiled: object):
    model = zoo_model(name)
    steps = model.core.steps(model.inputs, "fp32")
    assert isinstance(steps, StackSteps)
    whole, _ = model.features(IDS)
    _, state = model.features(IDS[:, :4])
    steps.restart(3, 4)
    steps.put([2, 0], rows_of(state, slice(0, 2)))
    steps.put([1], rows_of(state, slice(2, 3)))
    steps.keep(torch.tensor([2, 1, 0, 2]))
    for place in range(4, 9):
        features = steps.step(IDS[[0, 2, 1, 0], place])
        torch.testing.assert_close(features, whole[[0, 2, 1, 0], place], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
def test_endless_generation_takes_constant_memory(name: str):
    model = zoo_model(name)
    steps = model.core.steps(model.inputs, "fp32")
    steps.restart(1, 1)
    steps.put([0], model.features(IDS[:1, :1])[1])
    before = numbers(steps._state)
    for token in torch.randint(V, (2000, 1), generator=torch.Generator().manual_seed(1)):
        features = steps.step(token)
    assert features.isfinite().all()
    assert numbers(steps._state) == before


@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
def test_threads_share_a_step(name: str, monkeypatch: pytest.MonkeyPatch):
    if compiled_step.step_library() is None:
        pytest.skip("step.c was not compiled")
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(compiled_step, "threads_for", lambda weight_bytes, threads=threads: threads)
        model = zoo_model(name)
        steps = model.core.steps(model.inputs, "fp32")
        steps.restart(3, 1)
        steps.put([0, 1, 2], model.features(IDS[:, :1])[1])
        found.append(torch.stack([steps.step(IDS[:, place]) for place in range(1, 9)]))
    torch.testing.assert_close(*found, rtol=1e-5, atol=1e-6)


@torch.inference_mode()
@pytest.mark.parametrize("token", [-1, V])
def test_what_is_no_token_is_not_looked_up(token: int):
    """In C nothing else stands between an id and the memory behind the tables."""
    if compiled_step.step_library() is None:
        pytest.skip("step.c was not compiled")
    model = zoo_model("mingru")
    steps = model.core.steps(model.inputs, "fp32")
    steps.restart(1, 1)
    steps.put([0], model.features(IDS[:1, :1])[1])
    before = [part.clone() for part in steps._state[0]]
    with pytest.raises(AssertionError, match="none of the vocabulary's"):
        steps.step(torch.tensor([token]))
    assert all(torch.equal(*pair) for pair in zip(steps._state[0], before, strict=True))
