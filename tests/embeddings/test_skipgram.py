"""Skip-gram and CBOW: against autograd of the objective written out pair by pair, and every way of computing it against
the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import logsigmoid

from seqtool.embeddings import skipgram as room
from seqtool.embeddings.corpus import Chunk
from seqtool.embeddings.skipgram import (
    BLOCK,
    CompiledLearner,
    NegativeSampling,
    TorchLearner,
    add_rows,
    cut_steps,
    skipgram_library,
)
from seqtool.embeddings.windows import ContextWindows, Noise, make_window_sampler
from seqtool.native import loading
from seqtool.vectors.subwords import SubwordRows

WORDS, DIM = 23, 13
needs_compiler = pytest.mark.skipif(skipgram_library() is None, reason="skipgram.c was not compiled")


def problem(
    cbow: bool,
    subword: bool,
    window: int = 3,
    blocks: int = 2,
    negative: int = 5,
    block: int = BLOCK,
    repeats: int = 99,
) -> NegativeSampling:
    rng = np.random.default_rng(5)
    parts, rows = None, WORDS
    if subword:
        lengths = rng.integers(1, 5, WORDS)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        numbers = rng.integers(0, WORDS + 9, starts[-1]).astype(np.int32)
        numbers[starts[:-1]] = np.arange(WORDS)
        parts, rows = SubwordRows(starts.astype(np.int64), numbers), WORDS + 9
    input, output = (rng.normal(size=(count, DIM)).astype(np.float32) for count in (rows, WORDS))
    return NegativeSampling(input, output, parts, cbow, negative, window, block, blocks, repeats)


def windows(total: int, model: NegativeSampling) -> tuple[ContextWindows, Noise]:
    rng = np.random.default_rng(7)
    documents = np.sort(rng.integers(0, 9, total)).astype(np.int64)
    chunk = Chunk(rng.integers(0, WORDS, total).astype(np.int32), documents)
    sampler = make_window_sampler(np.arange(WORDS, 0, -1), model.window, 0.0, 0.75)
    return sampler.windows(chunk, [1]), sampler.noise(-(-total // model.block), model.noise, [2])


def objective(
    model: NegativeSampling, drawn: ContextWindows, noise: Noise, first: int, last: int, input, output
) -> torch.Tensor:
    """What the module's docstring says, one prediction at a time; nats to be made small."""
    nats = torch.zeros((), dtype=torch.float64)
    for at in range(first, last):
        near = [at + d for d in range(-int(drawn.left[at]), int(drawn.right[at]) + 1) if d]
        vectors = [
            input[drawn.words[p]]
            if model.subwords is None
            else input[
                model.subwords.rows[model.subwords.starts[drawn.words[p]] : model.subwords.starts[drawn.words[p] + 1]]
            ].mean(0)
            for p in near
        ]
        predictors = vectors if not model.cbow else [torch.stack(vectors).mean(0)] if near else []
        for x in predictors:
            nats = nats - logsigmoid(x @ output[drawn.words[at]])
            for n in noise[at // BLOCK]:
                if n != drawn.words[at]:
                    nats = nats - model.negative / model.noise * logsigmoid(-(x @ output[n]))
    return nats


def test_a_step_is_the_gradient_of_the_objective():
    for cbow in (False, True):
        model = problem(cbow, subword=False, blocks=4)
        drawn, noise = windows(60, model)  # one step
        input, output = (torch.tensor(m, dtype=torch.float64, requires_grad=True) for m in (model.input, model.output))
        objective(model, drawn, noise, 0, 60, input, output).backward()
        learner = TorchLearner(model, "cpu")
        before = [matrix.copy() for matrix in learner.weights()]
        learner.learn(drawn, noise, 0, 60, 1e-3)
        moved = [(after - start) / -1e-3 for after, start in zip(learner.weights(), before, strict=True)]
        np.testing.assert_allclose(moved[1], output.grad, rtol=2e-3, atol=2e-3)
        if not cbow:  # in CBOW each word gets the whole of the mean's gradient: a word alone in windows shows it
            np.testing.assert_allclose(moved[0], input.grad, rtol=2e-3, atol=2e-3)


def test_cbow_gives_each_word_of_a_window_the_whole_gradient_of_their_mean():
    model = problem(cbow=True, subword=False)
    words = np.array([0, 1, 2], np.int32)  # one centre, 1, between 0 and 2
    drawn = ContextWindows(words, *(np.array([0, 1, 0], np.uint16) for _ in range(2)))
    noise = np.full((1, model.noise), 3, np.int32)
    mean = torch.tensor(model.input[[0, 2]].mean(0), dtype=torch.float64, requires_grad=True)
    output = torch.tensor(model.output, dtype=torch.float64)
    (-logsigmoid(mean @ output[1]) - 5 * logsigmoid(-(mean @ output[3]))).backward()
    learner = TorchLearner(model, "cpu")
    before = learner.weights()[0].copy()
    learner.learn(drawn, noise, 0, 3, 1e-3)
    moved = (learner.weights()[0] - before) / -1e-3
    for word in (0, 2):
        np.testing.assert_allclose(moved[word], mean.grad, rtol=2e-3, atol=2e-3)
    assert not moved[1].any()


@needs_compiler
@pytest.mark.parametrize("cbow", [False, True])
@pytest.mark.parametrize("subword", [False, True])
@pytest.mark.parametrize(
    "total,window,blocks,negative,block",
    [
        (1, 3, 1, 5, 32),
        (31, 3, 1, 5, 32),
        (333, 3, 3, 7, 32),
        (200, 40, 2, 50, 32),
        (200, 9, 3, 5, 1),
        (100, 4, 2, 5, 12),
    ],
)
def test_the_compiled_step_is_the_one_in_torch(cbow, subword, total, window, blocks, negative, block):
    model = problem(cbow, subword, window, blocks, negative, block)
    drawn, noise = windows(total, model)
    found, stride = [], 3 * block
    for learner in (
        CompiledLearner(replace(model, input=model.input.copy(), output=model.output.copy()), skipgram_library()),
        TorchLearner(replace(model, input=model.input.copy(), output=model.output.copy()), "cpu"),
    ):
        losses = [
            learner.learn(drawn, noise[first // block :], first, min(first + stride, total), 1e-3)
            for first in range(0, total, stride)
        ]
        found.append([*learner.weights(), np.sum(losses, axis=0)])
    for compiled, torchs in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, torchs, rtol=2e-4, atol=2e-5)


@needs_compiler
def test_the_loss_is_the_objective_per_prediction():
    model = problem(cbow=False, subword=False, blocks=1)
    drawn, noise = windows(BLOCK, model)
    expected = objective(
        model, drawn, noise, 0, BLOCK, torch.tensor(model.input).double(), torch.tensor(model.output).double()
    )
    nats, predictions = CompiledLearner(model, skipgram_library()).learn(drawn, noise, 0, BLOCK, 0.0)
    assert predictions == drawn.left.sum() + drawn.right.sum()
    assert nats == pytest.approx(float(expected), rel=1e-5)


@needs_compiler
@pytest.mark.skipif(not loading.describe()["skipgram"].openmp, reason="skipgram.c was compiled without OpenMP")
def test_the_number_of_threads_changes_nothing():
    library = skipgram_library()
    before, found = library.omp_get_max_threads(), []
    try:
        for threads in (1, 2, 3):
            library.omp_set_num_threads(threads)
            assert library.omp_get_max_threads() == threads
            model = problem(False, True, blocks=6)
            CompiledLearner(model, library).learn(*windows(5000, model), 0, 5000, 0.01)
            found.append((model.input, model.output))
    finally:
        library.omp_set_num_threads(before)
    for several in found[1:]:
        assert all(np.array_equal(one, other) for one, other in zip(found[0], several, strict=True))


def test_rows_that_occur_several_times_are_summed():
    table, gradients = torch.zeros(5, 3), torch.randn(40, 3)
    rows = torch.randint(0, 4, (40,))
    add_rows(table, rows, gradients)
    torch.testing.assert_close(table, torch.zeros(5, 3).index_add_(0, rows, gradients))


def test_few_symbols_wide_windows_and_high_rates_make_steps_short_and_then_slow():
    def plan(symbols: int, window: int = 5, lr: float = 0.025, cbow: bool = False) -> room.StepPlan:
        return room.plan_steps(np.full(symbols, 1 / symbols), cbow, window, 5, lr)

    assert plan(10**6) == (BLOCK, room.MOST_BLOCKS, 4, 1.0)
    assert plan(1010) == (BLOCK, 252, 4, 1.0)  # 4.04 of each word
    assert plan(1010, lr=0.05) == (BLOCK, 126, 2, 1.0)
    assert plan(4)[:2] == (16, 1)
    assert plan(2)[:2] == (8, 1)
    block, blocks, repeats, lr_scale = plan(4, window=1000)
    assert (block, blocks, repeats) == (1, 1, 1)
    assert lr_scale == pytest.approx(3.6 / (0.025 * 1001 * 6))
    assert plan(4, lr=1e-310) == (BLOCK, room.MOST_BLOCKS, BLOCK * room.MOST_BLOCKS, 1.0)
    assert plan(4, lr=10.0)[2:] == (1, pytest.approx(0.01))
    assert plan(505, lr=0.05, cbow=True) == (BLOCK, 189, 6, 1.0)
    assert plan(505, window=1, lr=0.05, cbow=True) == plan(505, window=5, lr=0.05, cbow=True)


def test_a_step_ends_before_a_word_would_be_its_centre_too_often():
    model = problem(cbow=False, subword=False, blocks=2, block=4, repeats=2)
    words = np.array([0, 1, 2, 0, 1, 0, 7, 7, 7, 7, 7, 1, 2, 3, 4, 5, 6, 8, 9, 10], np.int32)
    assert list(cut_steps(model, words, 0, 20)) == [(0, 5), (5, 8), (8, 10), (10, 16), (16, 20)]  # two blocks end at 16
    assert list(cut_steps(model, words, 4, 10)) == [(4, 8), (8, 10)]
    assert list(cut_steps(replace(model, repeats=1), words[:3], 0, 3)) == [(0, 3)]


def test_words_that_share_ngrams_are_counted_together():
    parts = SubwordRows(np.array([0, 2, 4, 6]), np.array([0, 3, 1, 3, 2, 4], np.int32))  # the first two share row 3
    model = replace(problem(cbow=False, subword=True, blocks=1), subwords=parts, repeats=2)
    assert list(cut_steps(model, np.array([0, 1, 0, 1, 2], np.int32), 0, 5)) == [(0, 2), (2, 5)]
    assert list(cut_steps(model, np.array([0, 2, 0, 2, 0], np.int32), 0, 5)) == [(0, 4), (4, 5)]


def stretches(cbow: bool, subword: bool, block: int) -> tuple[NegativeSampling, ContextWindows, Noise]:
    """A word again and again, two in turn, and a mixture, to be learned from in steps planned for the mixture."""
    model = problem(cbow, subword, window=5, blocks=20, block=block, repeats=4)
    model = replace(model, input=model.input * np.float32(0.02), output=model.output * 0)
    rng = np.random.default_rng(3)
    words = np.concatenate([np.full(2000, 1), np.tile([2, 3], 1000), rng.integers(0, WORDS, 2000)]).astype(np.int32)
    sampler = make_window_sampler(np.bincount(words, minlength=WORDS), model.window, 0.0, 0.75)
    drawn = sampler.windows(Chunk(words, np.zeros(len(words), np.int64)), [1])
    return model, drawn, sampler.noise(-(-len(words) // block), model.noise, [2])


@needs_compiler
@pytest.mark.parametrize("cbow", [False, True])
@pytest.mark.parametrize("subword", [False, True])
def test_compiled_steps_end_where_those_in_torch_do(cbow, subword):
    model, drawn, noise = stretches(cbow, subword, 6)
    found = []
    for learner in (
        CompiledLearner(replace(model, input=model.input.copy(), output=model.output.copy()), skipgram_library()),
        TorchLearner(replace(model, input=model.input.copy(), output=model.output.copy()), "cpu"),
    ):
        loss = learner.learn(drawn, noise[300:], 1800, 2400, 0.05)
        found.append([*learner.weights(), loss])
    for compiled, torchs in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, torchs, rtol=2e-3, atol=2e-4)
