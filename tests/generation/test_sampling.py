from __future__ import annotations

import pytest
import torch

from seqtool.generation.sampling import next_token_probabilities, sample

LOGITS = torch.tensor([[2.0, 1.0, 0.0, -1.0], [0.0, 0.0, 0.0, 0.0]])


def test_plain_sampling_is_the_softmax():
    torch.testing.assert_close(next_token_probabilities(LOGITS), LOGITS.double().softmax(-1))


def test_temperature():
    torch.testing.assert_close(next_token_probabilities(LOGITS, temperature=0.5), (2 * LOGITS.double()).softmax(-1))
    assert next_token_probabilities(LOGITS, temperature=0)[0].tolist() == [1, 0, 0, 0]


def test_a_tiny_temperature_is_greedy():
    assert next_token_probabilities(LOGITS * 1e30, temperature=1e-300)[0].tolist() == [1, 0, 0, 0]


def test_top_k_keeps_the_likeliest():
    p = next_token_probabilities(LOGITS, top_k=2)
    torch.testing.assert_close(p[0], torch.tensor([*torch.tensor([2.0, 1.0]).double().softmax(-1), 0, 0]).double())
    assert (p[1] > 0).sum() == 2


def test_top_p_keeps_the_fewest_that_hold_enough():
    p = LOGITS.double().softmax(-1)[0]
    assert p[0] < 0.65 < p[0] + p[1]
    assert (next_token_probabilities(LOGITS, top_p=0.65)[0] > 0).tolist() == [True, True, False, False]
    assert (next_token_probabilities(LOGITS, top_p=0.0)[0] > 0).tolist() == [True, False, False, False]


def test_min_p_leaves_out_what_is_far_from_the_likeliest():
    assert (next_token_probabilities(LOGITS, min_p=0.2)[0] > 0).tolist() == [True, True, False, False]


def test_samples_follow_the_probabilities():
    p = next_token_probabilities(LOGITS, top_k=3)[:1]
    u = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    counts = sample(p.expand(10_000, 4), u).bincount(minlength=4) / 10_000
    torch.testing.assert_close(counts.double(), p[0], rtol=0, atol=2e-4)


def test_typical_keeps_what_is_nearest_to_the_entropy():
    p = torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]).double()
    information = -p.log()
    entropy = (p * information).sum()
    nearest = sorted(range(5), key=lambda index: abs(information[index] - entropy))
    kept = next_token_probabilities(p.log().unsqueeze(0), typical=0.3)[0]
    mass, expected = 0.0, set()
    for index in nearest:
        if mass < 0.3:
            expected.add(index)
            mass += p[index].item()
    assert {index for index in range(5) if kept[index] > 0} == expected
    torch.testing.assert_close(kept[list(expected)] * mass, p[list(expected)])


def test_cuts_that_agree_on_no_token_leave_the_likeliest():
    p = torch.tensor([[0.9, 0.05, 0.03, 0.02]]).log()
    assert (next_token_probabilities(p, typical=0.01, top_k=1)[0] > 0).tolist() == [True, False, False, False]
    p = torch.tensor([[0.45, 0.3, 0.25]]).log()
    assert next_token_probabilities(p, typical=0.01, top_k=1)[0].sum() == 1


def test_tokens_that_cannot_come_stay_out():
    logits = torch.tensor([[1.0, -torch.inf, 0.5, -torch.inf]])
    for settings in ({}, {"top_k": 3}, {"typical": 0.9}, {"top_p": 0.99, "min_p": 0.01}, {"temperature": 0.0}):
        p = next_token_probabilities(logits, **settings)[0]
        assert p[1] == p[3] == 0
        assert p.sum() == pytest.approx(1)


@pytest.mark.parametrize("u", [0.0, 0.5, 1 - 1e-16])
def test_a_token_of_probability_zero_is_never_drawn(u: float):
    p = torch.tensor([[0.0, 0.5, 0.5, 0.0]], dtype=torch.float64)
    assert sample(p, torch.tensor([u], dtype=torch.float64)).item() in (1, 2)
