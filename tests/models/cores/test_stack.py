from __future__ import annotations

import pytest
import torch

from seqtool.models.cores.mixers import GatedDeltaNet, MinGru, WindowAttention
from seqtool.models.cores.stack import Stack
from seqtool.models.device import autocast
from seqtool.models.language_model import build_model
from seqtool.models.loss import total_nats
from seqtool.models.state import State, detached
from seqtool.settings.model import ModelConfig, Symbols
from tests.zoo import V, zoo_model

NAMES = ["mingru", "mingru signed", "gdn", "gdn of 2 mirrors tied", "gdn and attention"]
EVERY = pytest.mark.parametrize("name", NAMES)


def numbers(state: State) -> int:
    return sum(part.numel() for layer in state for part in layer)


def test_mixers_take_turns():
    config = ModelConfig(model="gdn", hidden=8, heads=2, layers=5, mixers="gdn,mingru,attention")
    core = Stack(config, 8)
    kinds = [type(layer.mixer) for layer in core.layers]
    assert kinds == [GatedDeltaNet, MinGru, WindowAttention, GatedDeltaNet, MinGru]
    assert sum(weight.numel() for weight in core.parameters()) == Stack.size(config, 8).parameters


@EVERY
@torch.inference_mode()
def test_a_stream_of_ten_thousand_tokens_is_read_in_constant_memory(name: str):
    """In parts, on the state, with the features of the whole read at once."""
    model, ids = zoo_model(name), torch.randint(V, (1, 10_000), generator=torch.Generator().manual_seed(0))
    whole, _ = model.features(ids)
    state, parts, sizes = None, [], set()
    for part in ids.split(1301, 1):
        features, state = model.features(part, state)
        parts.append(features)
        sizes.add(numbers(state))
    assert sizes == {numbers(model.features(ids[:, :1])[1])}
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-4)


@EVERY
def test_gradients_do_not_depend_on_where_a_sequence_is_cut(name: str):
    """Where the graph goes on through the state."""
    model, ids = zoo_model(name), torch.randint(V, (2, 40), generator=torch.Generator().manual_seed(0))
    found = []
    for sizes in ([40], [1, 33, 6]):
        state, total = None, torch.zeros(())
        for part, targets in zip(ids.split(sizes, 1), ids.roll(-1, 1).split(sizes, 1), strict=True):
            logits, state = model(part, state)
            total = total + total_nats(logits, targets)
        found.append(torch.autograd.grad(total, list(model.parameters())))
    for whole, in_parts in zip(*found, strict=True):
        torch.testing.assert_close(in_parts, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("init", ["default", "xavier", "orthogonal"])
def test_residual_branches_end_small_and_what_is_no_matrix_is_the_mixers(init: str):
    config = ModelConfig(model="gdn", hidden=64, heads=4, layers=8, init=init)
    core = Stack(config, 64)
    torch.manual_seed(0)
    core.initialize(config)
    block = core.layers[0]
    ratio = block.mixer.output.weight.std() / block.mixer.queries_keys_values.weight[:64].std()
    assert ratio.item() == pytest.approx(
        {"xavier": 0.25 * 2**0.5, "orthogonal": 0.25 * 3**0.5}.get(init, 0.25), rel=0.1
    )
    assert block.mixer.convolution.abs().max() <= 0.5
    assert torch.equal(block.mixer_norm.weight, torch.ones(64))


def train_at_random(seed: int) -> None:
    """Twenty steps in bf16 of a model, on a text and with a rate, that the seed chooses; all numbers stay finite."""
    draws = torch.Generator().manual_seed(seed)

    def one_of(*choices: object) -> object:
        return choices[int(torch.randint(len(choices), (1,), generator=draws))]

    heads = int(one_of(1, 2, 4))
    settings = {
        "model": one_of("mingru", "gdn"), "signed": one_of(True, False), "heads": heads, "hidden": heads * int(one_of(8, 20, 32)),
        "layers": one_of(1, 2, 3), "feedforward": one_of("relu", "swiglu"), "norm": one_of("layer", "rms"), "convolution": one_of(1, 4),
        "mirrors": one_of(1, 1, 2, 3),
    }  # fmt: skip
    if one_of(True, False, False):
        settings |= {"mixers": one_of("gdn,attention", "mingru,gdn", "mingru,attention"), "layers": 2, "context": 8}
    model = build_model(ModelConfig(**settings), Symbols(9, 1, 9, 1000), dict.fromkeys(range(9), 1), seed).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=float(one_of(1e-3, 1e-2, 1e-1)))
    state = None
    for _ in range(20):
        time = int(one_of(1, 7, 33, 100))
        ids = torch.randint(int(one_of(1, 2, 9)), (3, time), generator=draws)  # of one symbol alone as well
        with autocast("bf16", torch.device("cpu")):
            logits, state = model(ids, state)
        nats = total_nats(logits.float(), ids.roll(-1, 1))
        assert nats.isfinite(), settings
        optimizer.zero_grad()
        nats.div(ids.numel()).backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        assert norm.isfinite(), settings
        optimizer.step()
        state = detached(state)
    assert all(part.isfinite().all() for layer in state for part in layer), settings


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [pytest.param(seed, marks=pytest.mark.slow if seed >= 6 else []) for seed in range(100)]
)
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "torch"])
def test_no_training_in_bf16_comes_to_what_is_no_number(seed: int, compiled: bool, monkeypatch: pytest.MonkeyPatch):
    if not compiled:
        monkeypatch.setattr("seqtool.native.loading.part", lambda name: None)
    train_at_random(seed)


@EVERY
def test_bf16_is_near_fp32(name: str):
    """Features of unit size differ by a few hundredths."""
    model, ids = zoo_model(name, hidden=64), torch.randint(V, (2, 100), generator=torch.Generator().manual_seed(0))
    exact, _ = model.features(ids)
    with autocast("bf16", torch.device("cpu")):
        rounded, state = model.features(ids)
    assert (rounded.float() - exact).square().mean().sqrt() < 0.03 * exact.square().mean().sqrt()
    assert all(part.dtype != torch.bfloat16 for part in state[0])
