from __future__ import annotations

import math

import pytest
import torch

from seqtool.models.attention import rotary_positions, rotate
from seqtool.models.cores.mixers import LONGEST_MEMORY, MIXERS, GatedDeltaNet, MinGru, WindowAttention
from seqtool.models.delta_rule import delta_rule_step, of_length_1
from seqtool.settings.model import ModelConfig

EVERY = pytest.mark.parametrize("name", MIXERS)
C, HEADS, W = 12, 2, 5


def mixer(name: str, **settings: object):
    torch.manual_seed(0)
    config = ModelConfig(**{"model": "gdn", "hidden": C, "heads": HEADS, "context": W, **settings})
    made = MIXERS[name](config)
    made.initialize()
    return made


@EVERY
@pytest.mark.parametrize("mirrors", [1, 3])
def test_the_size_is_that_of_what_is_built(name: str, mirrors: int):
    config, made = ModelConfig(model="gdn", hidden=C, heads=HEADS, mirrors=mirrors), mixer(name, mirrors=mirrors)
    size = MIXERS[name].size(config)
    assert sum(weight.numel() for weight in made.parameters()) == size.parameters
    products = [part.weight.numel() for part in made.modules() if isinstance(part, torch.nn.Linear)]
    assert sum(products) == size.product_weights


def test_each_mirror_is_paid_for():
    """A table of D x D a head is read for the query, and read and written for each mirror."""
    sizes = [GatedDeltaNet.size(ModelConfig(model="gdn", hidden=C, heads=HEADS, mirrors=mirrors)) for mirrors in (1, 3)]
    assert [size.token_flops for size in sizes] == [6 * 3 * C * C // HEADS, 6 * 7 * C * C // HEADS]


@EVERY
@pytest.mark.parametrize("sizes", [[1] * 17, [7, 10], [1, 16], [16, 1]])
def test_parts_on_the_state_are_the_whole_and_the_state_is_of_one_size(name: str, sizes: list[int]):
    made, x = mixer(name), torch.randn(2, 17, C)
    whole, last = made(x, None)
    state, parts = None, []
    for part in x.split(sizes, 1):
        y, state = made(part, state)
        parts.append(y)
        assert [tuple(tensor.shape) for tensor in state] == [tuple(tensor.shape) for tensor in last]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(state, last, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@EVERY
def test_a_state_of_zeros_begins_a_text(name: str):
    made, x = mixer(name), torch.randn(2, 7, C)
    plain, state = made(x, None)
    zeros = tuple(torch.zeros_like(part) for part in state)
    torch.testing.assert_close(made(x, zeros)[0], plain, rtol=0, atol=0)


@pytest.mark.parametrize("signed", [False, True])
def test_mingru_remembers_from_the_start(signed: bool):
    """With nothing read, a number is kept by 1 - 1/tau a token, or half of them by its negative; tau is log-uniform."""
    made = mixer("mingru", signed=signed, hidden=4096, heads=1)
    assert isinstance(made, MinGru)
    kept = 1 - made.most * torch.sigmoid(made.gate_bias.detach())
    assert (kept < 0).sum() == (2048 if signed else 0)
    tau = 1 / (1 - kept.abs())
    assert 1.99 < tau.min() < 2.1
    assert 0.95 * LONGEST_MEMORY < tau.max() < 1.01 * LONGEST_MEMORY
    assert tau.log().mean().item() == pytest.approx((math.log(2) + math.log(LONGEST_MEMORY)) / 2, abs=0.1)


@pytest.mark.parametrize(("signed", "mirrors"), [(False, 1), (True, 1), (True, 2), (True, 3)])
def test_gdn_is_its_equations(signed: bool, mirrors: int):
    """Convolution and SiLU, keys of length 1, gates, for each mirror a step of the delta rule, a norm for each head."""
    made, x = mixer("gdn", signed=signed, mirrors=mirrors), torch.randn(1, 9, C)
    assert isinstance(made, GatedDeltaNet)
    raw = torch.cat([torch.zeros(1, 3, (1 + 2 * mirrors) * C), x @ made.queries_keys_values.weight.t()], 1)
    summed = sum(made.convolution[k] * raw[:, k : k + 9] for k in range(4))
    q, *kv = (summed * torch.sigmoid(summed)).view(1, 9, 1 + 2 * mirrors, HEADS, -1).permute(2, 0, 3, 1, 4).unbind(0)
    gates = x @ made.gates.weight.t()
    gate, decay, *betas = gates.split([C, HEADS, *[HEADS] * mirrors], -1)
    log_alpha = -made.log_decay.exp() * torch.log1p(torch.exp(decay + made.decay_bias))
    S, found = torch.zeros(1, HEADS, 6, 6), []
    for t in range(9):
        for number, (k, v, beta) in enumerate(zip(kv[::2], kv[1::2], betas, strict=True)):
            kept = log_alpha[:, t] if number == 0 else torch.zeros(1, HEADS)
            written = (2 if signed else 1) * torch.sigmoid(beta[:, t])
            o, S = delta_rule_step(of_length_1(q[:, :, t]), of_length_1(k[:, :, t]), v[:, :, t], kept, written, S)
        found.append(o)
    o = torch.stack(found, 1)
    o = o / (o.square().mean(-1, keepdim=True) + 1e-5).sqrt() * made.head_norm.weight
    gated = o.flatten(2) * gate * torch.sigmoid(gate)
    torch.testing.assert_close(made(x, None)[0], gated @ made.output.weight.t(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("heads", "memories"), [(1, [1024]), (2, [32, 1024]), (5, [4, 16, 64, 256, 1024])])
def test_heads_of_gdn_remember_for_a_while_and_one_for_long(heads: int, memories: list[int]):
    """With nothing read, by exp(-1 / tau) a token."""
    made = mixer("gdn", hidden=4 * heads, heads=heads)
    assert isinstance(made, GatedDeltaNet)
    decays = made.log_decay.detach().exp() * torch.nn.functional.softplus(made.decay_bias.detach())
    assert (1 / decays).tolist() == pytest.approx(memories, rel=1e-3)


@pytest.mark.parametrize("time", [1, 3, 5, 6, 17])
def test_window_attention_sees_the_last_tokens_and_their_distance(time: int):
    made, x = mixer("attention"), torch.randn(2, time, C)
    assert isinstance(made, WindowAttention)
    Q, K, V = (part.view(2, time, HEADS, -1).transpose(1, 2) for part in made.queries_keys_values(x).chunk(3, -1))
    rotation = rotary_positions(time, C // HEADS)
    scores = rotate(Q, rotation) @ rotate(K, rotation).transpose(-2, -1) / math.sqrt(C // HEADS)
    places = torch.arange(time)
    hidden = (places > places[:, None]) | (places <= places[:, None] - W)
    y = scores.masked_fill(hidden, -math.inf).softmax(-1) @ V
    expected = y.transpose(1, 2).flatten(2) @ made.output.weight.t()
    torch.testing.assert_close(made(x, None)[0], expected, rtol=1e-4, atol=1e-6)


def test_the_table_of_rotations_grows_and_can_still_be_learned_with():
    made = mixer("attention")
    with torch.inference_mode():
        made(torch.randn(1, 1000, C), None)
    made(torch.randn(1, 1000, C), None)[0].sum().backward()
    assert made.rotations.shape[1] >= 1000
