"""The gated delta rule: chunks of time and delta.c against the equation written out."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seqtool.models import delta_rule
from seqtool.models.delta_rule import (
    delta_rule_reference,
    delta_rule_step,
    gated_delta_product,
    gated_delta_rule,
    of_length_1,
)
from tests.models.test_scan import difference

B, H = 2, 3


@pytest.fixture(params=["compiled", "chunks"])
def fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """gated_delta_rule with delta.c, and without it."""
    if request.param == "chunks":
        monkeypatch.setattr(delta_rule, "delta_library", lambda: None)
    elif delta_rule.delta_library() is None:
        pytest.skip("delta.c was not compiled")
    return gated_delta_rule


def written_out(qkv_BTC3: Tensor, log_alpha_BTH: Tensor, beta_BTH: Tensor, S_BHDD: Tensor) -> tuple[Tensor, Tensor]:
    """The same a step at a time."""
    q, k, v = qkv_BTC3.unflatten(-1, (3, S_BHDD.shape[1], -1)).permute(2, 0, 3, 1, 4)
    o_BHTD, S_BHDD = delta_rule_reference(
        of_length_1(q), of_length_1(k), v, log_alpha_BTH.transpose(1, 2), beta_BTH.transpose(1, 2), S_BHDD
    )
    return o_BHTD.transpose(1, 2), S_BHDD


def drawn(time: int, width: int = 16, seed: int = 0) -> list[Tensor]:
    """qkv, log alpha, beta up to 2, and the tables, to be learned."""
    draws = torch.Generator().manual_seed(seed)
    qkv = torch.randn(B, time, 3 * H * width, generator=draws)
    log_alpha = -0.1 * torch.rand(B, time, H, generator=draws)
    beta = 2 * torch.rand(B, time, H, generator=draws)
    tables = torch.randn(B, H, width, width, generator=draws)
    return [part.requires_grad_() for part in (qkv, log_alpha, beta, tables)]


def outputs_and_gradients(form, given: list[Tensor]) -> list[Tensor]:
    o_BTHD, S_BHDD = form(*given)
    draws = torch.Generator().manual_seed(1)
    total = (o_BTHD.float() * torch.randn(o_BTHD.shape, generator=draws)).sum()
    total = total + (S_BHDD * torch.randn(S_BHDD.shape, generator=draws)).sum()
    return [o_BTHD, S_BHDD, *torch.autograd.grad(total, given)]


def assert_near(found: list[Tensor], expected: list[Tensor], most: float = 1e-5) -> None:
    for ours, theirs in zip(found, expected, strict=True):
        assert difference(ours, theirs) < most


def test_a_step_is_the_equation():
    draws = torch.Generator().manual_seed(0)
    S, k, v, q = (torch.randn(shape, generator=draws) for shape in ((5, 5), (5,), (5,), (5,)))
    alpha, beta = torch.tensor(0.9), torch.tensor(1.3)
    expected = alpha * (torch.eye(5) - beta * torch.outer(k, k)) @ S + beta * torch.outer(k, v)
    o, found = delta_rule_step(*(part.view(1, 1, -1) for part in (q, k, v)), alpha.log().view(1, 1), beta.view(1, 1), S.view(1, 1, 5, 5))  # fmt: skip
    torch.testing.assert_close(found[0, 0], expected)
    torch.testing.assert_close(o[0, 0], expected.t() @ q / math.sqrt(5))


@pytest.mark.parametrize("time", [1, 2, 16, 31, 32, 33, 77])
def test_outputs_tables_and_gradients_are_the_written_out_ones(fast, time: int):
    """Whether or not chunks divide the time."""
    assert_near(outputs_and_gradients(fast, drawn(time)), outputs_and_gradients(written_out, drawn(time)))


@pytest.mark.parametrize("width", [1, 8, 32, 40, 64, 128, 144])
def test_heads_of_every_width(fast, width: int):
    assert_near(outputs_and_gradients(fast, drawn(19, width)), outputs_and_gradients(written_out, drawn(19, width)))


@pytest.mark.parametrize("chunk", [1, 5, 64])
def test_chunks_of_any_length(chunk: int):
    draws = torch.Generator().manual_seed(0)
    q, k, v = torch.randn(3, B, H, 33, 8, generator=draws)
    given = (q, of_length_1(k), v, -torch.rand(B, H, 33, generator=draws), 2 * torch.rand(B, H, 33, generator=draws))
    tables = torch.randn(B, H, 8, 8, generator=draws)
    assert_near([*delta_rule.delta_rule(*given, tables, chunk)], [*delta_rule_reference(*given, tables)])


@pytest.mark.parametrize("beta", [1.0, 1.999, 2.0])
@pytest.mark.parametrize("log_alpha", [0.0, -1e-6, -0.5])
def test_one_key_again_and_again(fast, beta: float, log_alpha: float):
    """Where doubling I + A would lose all digits."""
    given = drawn(96)
    with torch.no_grad():
        qkv = given[0].unflatten(-1, (3, H, -1))
        qkv[:, :, 1] = qkv[:, :1, 1]
        given[1].fill_(log_alpha)
        given[2].fill_(beta)
    assert_near(outputs_and_gradients(fast, given), outputs_and_gradients(written_out, given), 2e-5)


def test_the_tables_are_carried_from_part_to_part(fast):
    *given, S_BHDD = (part.detach() for part in drawn(70))
    whole, after_BHDD = fast(*given, S_BHDD)
    parts = []
    for at in zip(*(part.split([1, 40, 29], 1) for part in given), strict=True):
        o_BTHD, S_BHDD = fast(*at, S_BHDD)
        parts.append(o_BTHD)
    assert_near([torch.cat(parts, 1), S_BHDD], [whole, after_BHDD])


@pytest.mark.slow
def test_ten_thousand_steps_lose_no_more_than_32_bits_do(fast):
    """With nothing forgotten, and every step nearly a mirror; beside the equation in 64 bits."""
    draws = torch.Generator().manual_seed(0)
    qkv = torch.randn(1, 10_000, 3 * 8, generator=draws)
    log_alpha, beta = torch.full((1, 10_000, 1), -1e-7), torch.full((1, 10_000, 1), 1.99)
    given = (qkv, log_alpha, beta, torch.zeros(1, 1, 8, 8))
    exact = written_out(*(part.double() for part in given))
    for ours, theirs, expected in zip(fast(*given), written_out(*given), exact, strict=True):
        rounding = difference(theirs, expected)
        assert difference(ours, expected) < 1e-5 + 2 * rounding
        assert rounding < 1e-4


def test_mirrors_keep_track_of_a_permutation(fast):
    """beta = 2 and a key (e_i - e_j) / sqrt(2) exchange two rows of the table: a group word is read off at the end."""
    time, draws = 5_000, torch.Generator().manual_seed(0)
    pairs = [(0, 1), (1, 2), (0, 2)]
    word = torch.randint(3, (time,), generator=draws).tolist()
    keys, places = torch.zeros(time, 3), [0, 1, 2]
    for t, letter in enumerate(word):
        i, j = pairs[letter]
        keys[t, i], keys[t, j] = 1.0, -1.0
        places[i], places[j] = places[j], places[i]
    qkv = torch.cat([torch.zeros(time, 3), keys, torch.zeros(time, 3)], 1).unsqueeze(0)
    _, S_BHDD = fast(qkv, torch.zeros(1, time, 1), torch.full((1, time, 1), 2.0), torch.eye(3).view(1, 1, 3, 3))
    # Lengths are those of epsilon more, and so each mirror turns a little too short.
    assert S_BHDD[0, 0].argmax(1).tolist() == places


def product_written_out(
    qkv_BTF: Tensor, log_alpha_BTH: Tensor, beta_BTMH: Tensor, S_BHDD: Tensor
) -> tuple[Tensor, Tensor]:
    """gated_delta_product as its definition says it, a step at a time."""
    q, *kv = qkv_BTF.unflatten(-1, (1 + 2 * beta_BTMH.shape[2], H, -1)).transpose(2, 3).unbind(3)
    outputs = []
    for t in range(qkv_BTF.shape[1]):
        for m in range(beta_BTMH.shape[2]):
            k, v = kv[2 * m][:, t], kv[2 * m + 1][:, t]
            kept = log_alpha_BTH[:, t] if m == 0 else torch.zeros_like(log_alpha_BTH[:, t])
            o_BHD, S_BHDD = delta_rule_step(of_length_1(q[:, t]), of_length_1(k), v, kept, beta_BTMH[:, t, m], S_BHDD)
        outputs.append(o_BHD)
    return torch.stack(outputs, 1), S_BHDD


@pytest.mark.parametrize("mirrors", [1, 2, 3])
@pytest.mark.parametrize("time", [1, 17, 33])
def test_products_of_steps_are_the_written_out_ones(fast, mirrors: int, time: int):
    """Outputs, tables and gradients, of the keys, values and betas of each step too."""
    draws = torch.Generator().manual_seed(mirrors)
    _, log_alpha, _, tables = drawn(time)
    qkv = torch.randn(B, time, (1 + 2 * mirrors) * H * 16, generator=draws).requires_grad_()
    beta = (2 * torch.rand(B, time, mirrors, H, generator=draws)).requires_grad_()
    given = [qkv, log_alpha, beta, tables]
    found = outputs_and_gradients(gated_delta_product, given)
    assert_near(found, outputs_and_gradients(product_written_out, given))


def test_two_mirrors_rotate_a_table(fast):
    """By twice the angle between their keys; one mirror would leave a determinant of -1."""
    turned = math.pi / 7
    keys = torch.tensor([[1.0, 0.0], [math.cos(turned), math.sin(turned)]])
    qkv = torch.cat([torch.zeros(2), *(torch.cat([key, torch.zeros(2)]) for key in keys)]).view(1, 1, 10)
    always = torch.zeros(1, 1, 1), torch.full((1, 1, 2, 1), 2.0)  # nothing is forgotten
    _, S_BHDD = gated_delta_product(qkv, *always, torch.eye(2).view(1, 1, 2, 2))
    cosine, sine = math.cos(2 * turned), math.sin(2 * turned)
    torch.testing.assert_close(S_BHDD[0, 0], torch.tensor([[cosine, -sine], [sine, cosine]]), rtol=0, atol=1e-5)


def test_two_mirrors_a_token_follow_every_word_of_s3(fast):
    """A permutation of three is at most two exchanges; a mirror with a key of zeros, or twice the same, changes nothing."""
    time, draws = 500, torch.Generator().manual_seed(0)
    letters = [(), ((0, 1),), ((1, 2),), ((0, 2),), ((0, 1), (1, 2)), ((1, 2), (0, 1))]
    qkv, places = torch.zeros(1, time, 5, 3), [0, 1, 2]
    for t, letter in enumerate(torch.randint(len(letters), (time,), generator=draws).tolist()):
        for number, (i, j) in enumerate(letters[letter]):
            qkv[0, t, 1 + 2 * number, [i, j]] = torch.tensor([1.0, -1.0])
            places[i], places[j] = places[j], places[i]
    always = torch.zeros(1, time, 1), torch.full((1, time, 2, 1), 2.0)
    _, S_BHDD = gated_delta_product(qkv.flatten(2), *always, torch.eye(3).view(1, 1, 3, 3))
    assert S_BHDD[0, 0].argmax(1).tolist() == places


def test_a_decay_that_leaves_nothing_has_gradients(fast):
    """exp of what is masked would be infinite."""
    given = drawn(64)
    with torch.no_grad():
        given[1].fill_(-100.0)
    found = outputs_and_gradients(fast, given)
    assert all(part.isfinite().all() for part in found)
    assert_near(found, outputs_and_gradients(written_out, given))


def test_a_key_of_zeros_changes_nothing_and_has_gradients(fast):
    given = drawn(5)
    with torch.no_grad():
        given[0].zero_()
        given[1].zero_()
    found = outputs_and_gradients(fast, given)
    assert all(part.isfinite().all() for part in found)
    torch.testing.assert_close(found[1], given[3])


def test_bf16_is_near(fast):
    """What is given and found has 8 bits; the tables between them have 24."""
    exact = [part.detach() for part in drawn(200, 32)]
    o_BTHD, S_BHDD = fast(*exact)
    rounded, tables = fast(exact[0].bfloat16(), *exact[1:])
    assert (rounded.dtype, tables.dtype) == (torch.bfloat16, torch.float32)
    assert difference(rounded, o_BTHD) < 3e-2
    assert difference(tables, S_BHDD) < 3e-2


def test_nothing_depends_on_the_number_of_threads():
    if delta_rule.delta_library() is None:
        pytest.skip("delta.c was not compiled")
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 4):
            torch.set_num_threads(threads)
            found.append(outputs_and_gradients(gated_delta_rule, drawn(40)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_vectors_are_of_length_1_and_zeros_stay():
    x = torch.randn(4, 9)
    torch.testing.assert_close(of_length_1(x), F.normalize(x, dim=-1))
    assert not of_length_1(torch.zeros(2, 3)).any()
