"""GloVe: vectors whose inner products approximate the logarithms of co-occurrence counts.

Pennington, Socher & Manning 2014, "GloVe: Global Vectors for Word Representation", equation 8, here halved as in their
program, so that learning rates compare:

    J = 1/2 sum_ij f(X_ij) (w_i . c_j + b_i + d_j - log X_ij)^2,    f(x) = min((x / x_max)^(3/4), 1)    (equation 9)

minimised by AdaGrad (Duchi, Hazan & Singer 2011) in batches: the gradient of a row is summed over the batch before it
is squared. All sums go in one order, whatever the number of threads.
Shapes: V tokens, D numbers in a vector, N entries of a batch, U different rows or columns in it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from seqtool.embeddings.cooccurrence import Cooccurrences

POWER = 0.75
FIRST_SQUARE = 1.0  # the initial value of AdaGrad's sums of squares
PART_ENTRIES = 1 << 20
BATCHES = 32  # in a part: a small text has small batches, and as many steps
BLOCK_ENTRIES = 1 << 13  # read together
SAMPLED_ENTRIES = 1 << 14


@dataclass
class Glove:
    """The vectors, biases and AdaGrad's sums of squares: all that a checkpoint needs.

    A row of `words` (V, D + 2) is [w_i, b_i, 1] and a row of `contexts` (V, D + 2) is [c_j, 1, d_j], so that their
    inner product is w_i . c_j + b_i + d_j.
    """

    words: Tensor
    contexts: Tensor
    word_squares: Tensor
    context_squares: Tensor


def new_glove(vocab_size: int, dim: int, seed: int, device: str | torch.device = "cpu") -> Glove:
    """Draw vectors and biases uniformly from (-1/2, 1/2) / D by a seed, the same on every device."""
    generator = torch.Generator().manual_seed(seed)
    words, contexts = ((torch.rand(vocab_size, dim + 2, generator=generator) - 0.5) / dim for _ in range(2))
    words[:, dim + 1] = 1
    contexts[:, dim] = 1
    squares = torch.full((vocab_size, dim + 2), FIRST_SQUARE, device=device)
    return Glove(words.to(device), contexts.to(device), squares, squares.clone())


def vectors_of(glove: Glove) -> npt.NDArray[np.float32]:
    """The sum of each token's two vectors (section 4.2), (V, D)."""
    return (glove.words + glove.contexts)[:, :-2].cpu().numpy()


def part_count(counts: Cooccurrences) -> int:
    """The number of parts in a pass over the counts."""
    return -(-len(counts) // PART_ENTRIES)


def learn_part(
    glove: Glove, counts: Cooccurrences, part: int, *, lr: float, seed: int, x_max: float
) -> tuple[float, int]:
    """Learn from one part: 0 .. part_count(counts) - 1 make up the first pass, and so on.

    A pass takes each entry once. The part and the batch of an entry depend on the seed and the part's number alone, so
    that learning can stop and resume between parts. Return the loss J summed over the part, each batch's before its
    step, and the number of entries.
    """
    passes, position = divmod(part, part_count(counts))
    rows_N, columns_N, values_N = _part_entries(counts, passes, position, seed)
    # A stable sort by a random batch leaves the entries of a batch in the order of their rows.
    drawn_N = np.random.default_rng([seed, passes, position]).permutation(len(rows_N)) % BATCHES
    order_N = np.argsort(drawn_N.astype(np.uint8), kind="stable")
    loss = 0.0
    for batch in np.array_split(order_N, BATCHES):
        if len(batch):
            loss += _learn_batch(glove, rows_N[batch], columns_N[batch], values_N[batch], lr, x_max)
    return loss, len(rows_N)


def _part_entries(
    counts: Cooccurrences, passes: int, position: int, seed: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Rows, columns and values (N,) of one part of a pass, in the order of rows."""
    blocks = np.random.default_rng([seed, passes]).permutation(-(-len(counts) // BLOCK_ENTRIES))
    chosen = np.sort(np.array_split(blocks, part_count(counts))[position]).tolist()
    bounds = [(block * BLOCK_ENTRIES, min((block + 1) * BLOCK_ENTRIES, len(counts))) for block in chosen]
    rows_N = np.concatenate([counts.rows(start, end) for start, end in bounds])
    columns_N = np.concatenate([counts.columns[start:end] for start, end in bounds]).astype(np.int32)
    return rows_N, columns_N, np.concatenate([counts.values[start:end] for start, end in bounds])


def sampled_loss(glove: Glove, counts: Cooccurrences, x_max: float) -> float:
    """The loss J summed over SAMPLED_ENTRIES entries at equal distances."""
    entries = np.unique(np.linspace(0, len(counts) - 1, SAMPLED_ENTRIES).astype(np.int64))
    rows = torch.from_numpy(np.searchsorted(counts.starts, entries, side="right") - 1).to(glove.words.device)
    columns = torch.from_numpy(counts.columns[entries].astype(np.int64)).to(glove.words.device)
    x_N = torch.from_numpy(counts.values[entries]).to(glove.words.device)
    error_N = (glove.words[rows] * glove.contexts[columns]).sum(1) - x_N.log()
    return float(((x_N / x_max).pow(POWER).clamp(max=1) * error_N.double() ** 2).sum()) / 2


class _Batch(NamedTuple):
    """N entries of X in the order of their rows, compressed by row and by column, on the device of the vectors.

    `words_U` are the different rows; entries row_starts[u] to row_starts[u + 1] are of row words_U[u]. `contexts_U` and
    `column_starts` are the same for the columns, of the entries in the order `by_column_N`.
    """

    words_U: Tensor
    row_starts: Tensor
    columns_N: Tensor
    contexts_U: Tensor
    column_starts: Tensor
    by_column_N: Tensor
    rows_by_column_N: Tensor
    x_N: Tensor


def _learn_batch(
    glove: Glove,
    rows_N: npt.NDArray[np.int32],
    columns_N: npt.NDArray[np.int32],
    values_N: npt.NDArray[np.float32],
    lr: float,
    x_max: float,
) -> float:
    """Take one step of AdaGrad on entries in the order of their rows; return their loss before it."""
    batch = _compressed(rows_N, columns_N, values_N, glove.words.device)
    error_N = _errors(glove, batch)
    slope_N = (batch.x_N / x_max).pow_(POWER).clamp_(max=1).mul_(error_N)
    loss = float((slope_N * error_N).cpu().numpy().sum(dtype=np.float64)) / 2
    word_gradient_UD = embedding_bag(
        batch.columns_N, glove.contexts, batch.row_starts[:-1], mode="sum", per_sample_weights=slope_N
    )
    context_gradient_UD = embedding_bag(
        batch.rows_by_column_N,
        glove.words,
        batch.column_starts,
        mode="sum",
        per_sample_weights=slope_N[batch.by_column_N],
    )
    word_gradient_UD[:, -1] = 0
    context_gradient_UD[:, -2] = 0
    _adagrad(glove.words, glove.word_squares, batch.words_U.long(), word_gradient_UD, lr)
    _adagrad(glove.contexts, glove.context_squares, batch.contexts_U.long(), context_gradient_UD, lr)
    return loss


def _compressed(
    rows_N: npt.NDArray[np.int32],
    columns_N: npt.NDArray[np.int32],
    values_N: npt.NDArray[np.float32],
    device: torch.device,
) -> _Batch:
    """Group the entries of a batch by row and by column."""
    # Each entry's index is packed into the low bits of its key: sorting keys is much faster than sorting an index.
    by_column_N = np.sort((columns_N.astype(np.int64) << 32) + np.arange(len(columns_N))) & 0xFFFFFFFF
    sorted_N = columns_N[by_column_N]
    row_starts, column_starts = _starts(rows_N), _starts(sorted_N)
    arrays = (
        rows_N[row_starts],
        np.append(row_starts, len(rows_N)).astype(np.int32),
        columns_N,
        sorted_N[column_starts],
        column_starts.astype(np.int32),
        by_column_N,
        rows_N[by_column_N],
        values_N,
    )
    return _Batch(*(torch.from_numpy(array).to(device) for array in arrays))


def _errors(glove: Glove, batch: _Batch) -> Tensor:
    """w_i . c_j + b_i + d_j - log X_ij of each entry (N,), by a sampled product, so that no (N, D) is in memory."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        logs = torch.sparse_csr_tensor(
            batch.row_starts,
            batch.columns_N,
            batch.x_N.log(),
            (len(batch.words_U), len(glove.contexts)),
            check_invariants=False,
        )
    words_UD = glove.words.index_select(0, batch.words_U)
    return torch.sparse.sampled_addmm(logs, words_UD, glove.contexts.T, beta=-1.0).values()


def _starts(ascending_N: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Where each run of equal numbers starts."""
    return np.flatnonzero(np.diff(ascending_N, prepend=-1))


def _adagrad(weights: Tensor, squares: Tensor, used_U: Tensor, gradient_UD: Tensor, lr: float) -> None:
    """A step of diagonal AdaGrad (Duchi, Hazan & Singer 2011, equation 1) on the rows `used_U`."""
    sums_UD = squares.index_select(0, used_U).addcmul_(gradient_UD, gradient_UD)
    squares.index_copy_(0, used_U, sums_UD)
    weights.index_add_(0, used_U, gradient_UD.div_(sums_UD.sqrt_()), alpha=-lr)
