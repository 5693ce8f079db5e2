"""GloVe: against autograd, torch's AdaGrad and itself, stopped and begun again."""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import pytest
import torch

from seqtool.embeddings import glove
from seqtool.embeddings.cooccurrence import Cooccurrences, count_pairs
from seqtool.embeddings.glove import Glove, learn_part, new_glove, part_count, vectors_of

LR, X_MAX = 0.05, 100.0


def counts_of(size: int, tokens: int) -> Cooccurrences:
    generator = np.random.default_rng(0)
    rows = np.minimum(generator.zipf(1.4, tokens) - 1, size - 1).astype(np.int32)
    return count_pairs([(rows, np.arange(tokens) // 50)], size, 5, "reciprocal")


def weights_of(state: Glove) -> list[torch.Tensor]:
    """w, b, c, d of equation 8."""
    parts = [state.words[:, :-2], state.words[:, -2], state.contexts[:, :-2], state.contexts[:, -1]]
    return [part.detach().clone().requires_grad_() for part in parts]


def loss_of(weights: list[torch.Tensor], counts: Cooccurrences, x_max: float) -> torch.Tensor:
    """Half of equation 8, written out."""
    words, word_bias, contexts, context_bias = weights
    rows = torch.from_numpy(counts.rows(0, len(counts)).astype(np.int64))
    columns = torch.from_numpy(counts.columns.astype(np.int64))
    x = torch.from_numpy(counts.values)
    error = (words[rows] * contexts[columns]).sum(1) + word_bias[rows] + context_bias[columns] - x.log()
    return (torch.where(x < x_max, (x / x_max) ** 0.75, 1.0) * error**2).sum() / 2


@pytest.mark.parametrize("x_max", [pytest.param(1.0, marks=pytest.mark.slow), 100.0])
def test_steps_are_those_of_autograd_and_adagrad(x_max, monkeypatch):
    """Three passes in one batch each, of all the entries."""
    monkeypatch.setattr(glove, "BATCHES", 1)
    counts = counts_of(30, 900)
    state = new_glove(31, 7, seed=1)  # the last token is not in the text
    counts = Cooccurrences(np.append(counts.starts, counts.starts[-1]), counts.columns, counts.values)
    weights = weights_of(state)
    optimizer = torch.optim.Adagrad(weights, lr=LR, initial_accumulator_value=1, eps=0)
    for step in range(3):
        optimizer.zero_grad()
        expected = loss_of(weights, counts, x_max)
        expected.backward()
        optimizer.step()
        loss, entries = learn_part(state, counts, step, lr=LR, seed=0, x_max=x_max)
        assert entries == len(counts)
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        for found, wanted in zip(weights_of(state), weights, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    squares = [optimizer.state[weight]["sum"] for weight in weights]
    torch.testing.assert_close(state.word_squares[:, :-2], squares[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(state.context_squares[:, -1], squares[3], rtol=1e-4, atol=1e-6)
    assert (state.words[:, -1] == 1).all()
    assert (state.contexts[:, -2] == 1).all()


def learned(counts: Cooccurrences, parts: range, state: Glove) -> tuple[Glove, list[float]]:
    return state, [learn_part(state, counts, part, lr=LR, seed=5, x_max=X_MAX)[0] for part in parts]


def same(one: Glove, other: Glove) -> bool:
    return all(torch.equal(getattr(one, item.name), getattr(other, item.name)) for item in dataclasses.fields(Glove))


@pytest.fixture
def small_parts(monkeypatch) -> None:
    """Several parts a pass, although the counts are few."""
    monkeypatch.setattr(glove, "PART_ENTRIES", 1000)
    monkeypatch.setattr(glove, "BLOCK_ENTRIES", 64)


@pytest.mark.usefixtures("small_parts")
def test_a_pass_takes_each_entry_once_in_an_order_of_its_own(monkeypatch):
    counts = counts_of(300, 3000)
    seen: list[list[tuple[int, int, float]]] = []

    def learn_batch(state, rows, columns, values, lr, x_max):
        assert (np.diff(rows) >= 0).all()
        seen[-1] += zip(rows.tolist(), columns.tolist(), values.tolist(), strict=True)
        return 0.0

    monkeypatch.setattr(glove, "_learn_batch", learn_batch)
    for passes in range(2):
        seen.append([])
        for part in range(part_count(counts)):
            learn_part(new_glove(300, 2, 0), counts, passes * part_count(counts) + part, lr=LR, seed=0, x_max=X_MAX)
    assert part_count(counts) > 3
    every = list(
        zip(counts.rows(0, len(counts)).tolist(), counts.columns.tolist(), counts.values.tolist(), strict=True)
    )
    assert sorted(seen[0]) == sorted(seen[1]) == every
    assert seen[0] != seen[1]


@pytest.mark.usefixtures("small_parts")
def test_loss_falls_and_vectors_are_the_sum_of_both():
    counts = counts_of(300, 3000)
    parts = part_count(counts)
    state, losses = learned(counts, range(parts * 15), new_glove(300, 20, seed=0))
    assert sum(losses[-parts:]) < 0.2 * sum(losses[:parts])
    assert loss_of(weights_of(state), counts, X_MAX).item() < sum(losses[-parts:])
    expected = state.words[:, :20] + state.contexts[:, :20]
    assert np.array_equal(vectors_of(state), expected.numpy())


@pytest.mark.usefixtures("small_parts")
def test_going_on_from_a_copy_equals_never_stopping():
    counts = counts_of(200, 2000)
    whole, losses = learned(counts, range(9), new_glove(200, 10, seed=2))
    half, before = learned(counts, range(4), new_glove(200, 10, seed=2))
    resumed, after = learned(counts, range(4, 9), copy.deepcopy(half))
    assert same(whole, resumed)
    assert before + after == losses


@pytest.mark.slow
def test_the_number_of_threads_changes_nothing():
    counts = counts_of(3000, 60_000)
    threads = torch.get_num_threads()
    try:
        results = []
        for number in (1, 2):
            torch.set_num_threads(number)
            results.append(learned(counts, range(1), new_glove(3000, 30, seed=0)))
    finally:
        torch.set_num_threads(threads)
    assert same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_fewer_entries_than_batches():
    counts = count_pairs([(np.array([0, 1], np.int32), np.zeros(2, np.int64))], 2, 1, "reciprocal")
    state, losses = learned(counts, range(20), new_glove(2, 3, seed=0))
    assert losses[-1] < losses[0]
    assert np.isfinite(vectors_of(state)).all()


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_learns_the_same():
    counts = counts_of(300, 3000)
    here, losses = learned(counts, range(3), new_glove(300, 20, seed=0))
    there, losses_there = learned(counts, range(3), new_glove(300, 20, seed=0, device="cuda"))
    assert losses_there == pytest.approx(losses, rel=1e-4)
    np.testing.assert_allclose(vectors_of(there), vectors_of(here), rtol=1e-3, atol=1e-5)
