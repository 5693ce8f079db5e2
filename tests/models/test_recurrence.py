"""The compiled recurrent layer against torch's own modules, forward and backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seqtool.models import recurrence

CELLS = [("lstm", "tanh"), ("gru", "tanh"), ("rnn", "tanh"), ("rnn", "relu")]

SHAPES = [(1, 1, 3, 1), (5, 7, 4, 33), (16, 9, 8, 64), (13, 5, 20, 200)]  # rows, time, embedding, hidden

SYMBOLS = 7

TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 4e-2}


def torchs(kind: str, activation: str, embed: int, hidden: int) -> nn.RNNBase:
    if kind == "rnn":
        return nn.RNN(embed, hidden, nonlinearity=activation, batch_first=True)
    return {"lstm": nn.LSTM, "gru": nn.GRU}[kind](embed, hidden, batch_first=True)


def difference(ours: Tensor, theirs: Tensor) -> float:
    return ((ours - theirs).norm() / theirs.norm().clamp(min=1e-6)).item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("table", [False, True], ids=["inputs", "table"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("kind", "activation"), CELLS)
def test_outputs_state_and_gradients_are_torchs(
    kind: str, activation: str, shape: tuple[int, ...], table: bool, dtype: torch.dtype
):
    if dtype == torch.bfloat16 and not recurrence.recurrence_library().seqtool_recurrence_has_bf16():
        pytest.skip("this processor has no instructions for it")
    if dtype == torch.bfloat16 and activation == "relu":
        pytest.skip("a relu near zero is on in one arithmetic and off in the other")
    rows, time, embed, hidden = shape
    torch.manual_seed(1)
    layer = torchs(kind, activation, embed, hidden)
    W_ih, W_hh, b_ih, b_hh = layer.parameters()
    embedding = torch.randn(SYMBOLS, embed, requires_grad=True)
    ids = torch.randint(SYMBOLS, (rows, time))
    state = tuple(torch.randn(rows, hidden, requires_grad=True) for _ in range(2 if kind == "lstm" else 1))
    dy, dstate = torch.randn(rows, time, hidden), [torch.randn(rows, hidden) for _ in state]

    x = F.linear(embedding if table else embedding[ids], W_ih, b_ih if kind == "gru" else b_ih + b_hh)
    own_bias = b_hh if kind == "gru" else None
    ours, after = recurrence.run(kind, activation == "relu", x, ids if table else None, W_hh, own_bias, state, dtype)
    wrapped = tuple(part.unsqueeze(0) for part in state)
    theirs, last = layer(embedding[ids], wrapped if kind == "lstm" else wrapped[0])
    expected = tuple(part.squeeze(0) for part in (last if kind == "lstm" else (last,)))

    assert ours.dtype == dtype
    learned = [embedding, W_ih, W_hh, b_ih, b_hh, *state]
    found = [
        torch.autograd.grad(
            (y.float() * dy).sum() + sum((part * d).sum() for part, d in zip(parts, dstate, strict=True)), learned
        )
        for y, parts in ((ours, after), (theirs, expected))
    ]
    for one, other in zip((ours, *after, *found[0]), (theirs, *expected, *found[1]), strict=True):
        assert difference(one.float(), other) < TOLERANCE[dtype]


def test_nothing_depends_on_the_number_of_threads():
    """Each number is computed by one thread, in an order of its own."""
    torch.manual_seed(2)
    table, W_hh = torch.randn(9, 4 * 70, requires_grad=True), torch.randn(4 * 70, 70, requires_grad=True)
    ids, state = torch.randint(9, (5, 11)), (torch.zeros(5, 70), torch.zeros(5, 70))
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y, _ = recurrence.run("lstm", False, table, ids, W_hh, None, state, torch.float32)
            torch.set_num_threads(1)  # torch's own product for W_hh is another matter
            results.append((y, *torch.autograd.grad(y.square().sum(), [table])))
    finally:
        torch.set_num_threads(before)
    for others in results[1:]:
        assert all(torch.equal(one, other) for one, other in zip(results[0], others, strict=True))


def test_without_a_gradient_nothing_is_kept():
    """Scoring takes no memory for a backward pass that never comes."""
    table, W_hh = torch.randn(9, 4 * 16, requires_grad=True), torch.randn(4 * 16, 16, requires_grad=True)
    ids, state = torch.randint(9, (2, 3)), (torch.zeros(2, 16), torch.zeros(2, 16))
    with torch.no_grad():
        y, _ = recurrence.run("lstm", False, table, ids, W_hh, None, state, torch.float32)
    assert not y.requires_grad


def test_infinite_numbers_stay_so():
    """A diverged training must be seen to be one."""
    table, W_hh = torch.full((1, 4 * 16), float("nan")), torch.randn(4 * 16, 16)
    y, _ = recurrence.run(
        "lstm", False, table, torch.zeros(1, 2, dtype=torch.long), W_hh, None, (torch.zeros(1, 16),) * 2, torch.float32
    )
    assert y.isnan().all()


@pytest.mark.parametrize("wrong", [-1, 9])
def test_an_id_beyond_the_table_is_an_error(wrong: int):
    table, W_hh = torch.randn(9, 4 * 16), torch.randn(4 * 16, 16)
    state = (torch.zeros(1, 16),) * 2
    with pytest.raises(IndexError):
        recurrence.run("lstm", False, table, torch.tensor([[3, wrong]]), W_hh, None, state, torch.float32)


def test_a_state_of_other_rows_is_refused():
    table, W_hh, ids = torch.randn(9, 4 * 16), torch.randn(4 * 16, 16), torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(ValueError, match="2 rows"):
        recurrence.run("lstm", False, table, ids, W_hh, None, (torch.zeros(1, 16),) * 2, torch.float32)


def test_no_time_leaves_the_state_as_it_is():
    x, W_hh, state = torch.randn(2, 0, 4 * 16), torch.randn(4 * 16, 16), (torch.ones(2, 16), torch.ones(2, 16))
    y, after = recurrence.run("lstm", False, x, None, W_hh, None, state, torch.float32)
    assert y.shape == (2, 0, 16)
    assert all(torch.equal(one, other) for one, other in zip(after, state, strict=True))


@pytest.mark.parametrize("kind", ["int32", "int64"])
def test_ids_may_be_of_either_width(kind: str):
    table, W_hh, state = torch.randn(9, 4 * 16), torch.randn(4 * 16, 16), (torch.zeros(2, 16),) * 2
    ids = torch.tensor([[1, 2, 8], [0, 3, 4]], dtype=getattr(torch, kind))
    y, _ = recurrence.run("lstm", False, table, ids, W_hh, None, state, torch.float32)
    expected, _ = recurrence.run("lstm", False, table[ids.long()], None, W_hh, None, state, torch.float32)
    assert torch.equal(y, expected)
