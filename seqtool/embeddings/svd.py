"""Vectors by singular value decomposition of a matrix of positive pointwise mutual information (PPMI).

Levy, Goldberg & Dagan 2015, "Improving Distributional Similarity with Lessons Learned from Word Embeddings", sections
2 and 3. With X_ij the co-occurrence counts, r_i = sum_j X_ij, and context distribution smoothing by a power p, which
lowers the PMI of rare contexts (equation 4 there):

    M_ij = max(log(X_ij / r_i * sum_k r_k^p / r_j^p), 0)

Shapes: V tokens, D numbers in a vector, S >= D directions of the subspace that is searched.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from seqtool.embeddings.cooccurrence import Cooccurrences
from seqtool.errors import UsageError

BLOCKS = 8
MORE_DIRECTIONS = 10
ENTRIES_AT_ONCE = 1 << 22

Sparse = tuple[Tensor, Tensor, Tensor]  # where each row starts, columns, values


def learn_svd(counts: Cooccurrences, dim: int, noise_power: float, seed: int) -> npt.NDArray[np.float32]:
    """The vectors U Sigma^(1/2) (V, D) for the D largest singular values of M, largest first (section 3.3).

    Signs are chosen so that the number of largest magnitude in each column is positive. UsageError when D > V.
    """
    size = counts.vocab_size
    if dim > size:
        raise UsageError(f"--dim {dim}: svd gives each of {size} tokens {size} numbers at most, so take --dim {size}")
    forward, backward = _ppmi(counts, noise_power)
    left_VS, singular_S = _largest(forward, backward, dim + MORE_DIRECTIONS, seed)
    left_VD, singular_D = left_VS[:, :dim], singular_S[:dim]
    largest_1D = left_VD.gather(0, left_VD.abs().argmax(dim=0, keepdim=True))
    return (left_VD * largest_1D.sign() * singular_D.sqrt()).numpy()


def _ppmi(counts: Cooccurrences, noise_power: float) -> tuple[Sparse, Sparse]:
    """M and its transpose. As X is symmetric, they differ only in which of the two marginals is smoothed."""
    sums_V = np.zeros(counts.vocab_size)
    for start in range(0, len(counts), ENTRIES_AT_ONCE):
        end = min(start + ENTRIES_AT_ONCE, len(counts))
        sums_V += np.bincount(counts.rows(start, end), counts.values[start:end], counts.vocab_size)
    present_V = sums_V > 0
    logs_V = np.log(np.where(present_V, sums_V, 1))
    smoothed_V = noise_power * logs_V
    smoothed_V -= np.log(np.exp(smoothed_V[present_V]).sum())
    return _positive(counts, logs_V, smoothed_V), _positive(counts, smoothed_V, logs_V)


def _positive(counts: Cooccurrences, by_row_V: npt.NDArray[np.float64], by_column_V: npt.NDArray[np.float64]) -> Sparse:
    """The entries of log X_ij - by_row_i - by_column_j that are above zero."""
    lengths_V = np.zeros(counts.vocab_size, np.int64)
    columns, values = [], []
    for start in range(0, len(counts), ENTRIES_AT_ONCE):
        end = min(start + ENTRIES_AT_ONCE, len(counts))
        rows, others = counts.rows(start, end), counts.columns[start:end]
        logs = np.log(counts.values[start:end], dtype=np.float64) - by_row_V[rows] - by_column_V[others]
        kept = logs > 0
        lengths_V += np.bincount(rows[kept], minlength=counts.vocab_size)
        columns.append(others[kept])
        values.append(logs[kept].astype(np.float32))
    starts_V = np.cumsum(lengths_V) - lengths_V
    index = np.int32 if lengths_V.sum() < 1 << 31 else np.int64  # the kernel is several times as fast with int32
    return (
        torch.from_numpy(starts_V.astype(index)),
        torch.from_numpy(np.concatenate(columns).astype(index)),
        torch.from_numpy(np.concatenate(values)),
    )


def _largest(forward: Sparse, backward: Sparse, directions: int, seed: int) -> tuple[Tensor, Tensor]:
    """The left singular vectors (V, S) and singular values (S,) of a matrix M, given with its transpose.

    Musco & Musco 2015, "Randomized Block Krylov Methods for Stronger and Faster Approximate Singular Value
    Decomposition", algorithm 2: from the span of M G, (M M^T) M G, ... for a random G with `directions` columns. Where
    the span would have no fewer than V dimensions, G is square, and the result is exact up to rounding.
    """
    size = len(forward[0])
    blocks = BLOCKS if directions * BLOCKS < size else 1
    directions = directions if blocks > 1 else size
    generator = torch.Generator().manual_seed(seed)
    krylov = [_orthonormal(_times(forward, torch.randn(size, directions, generator=generator)))]
    while len(krylov) < blocks:
        krylov.append(_orthonormal(_times(forward, _times(backward, krylov[-1]))))
    range_VS = _orthonormal(torch.cat(krylov, dim=1))
    # Where M^T Q = P R, the singular values of Q^T M = R^T P^T are those of the small matrix R^T.
    left_SS, singular_S, _ = torch.linalg.svd(torch.linalg.qr(_times(backward, range_VS)).R.T)
    return range_VS @ left_SS, singular_S


def _times(matrix: Sparse, dense_VS: Tensor) -> Tensor:
    """The product of a sparse matrix and a dense one: each row is a weighted sum of rows."""
    starts_V, columns, values = matrix
    return embedding_bag(columns, dense_VS, starts_V, mode="sum", per_sample_weights=values)


def _orthonormal(matrix_VS: Tensor) -> Tensor:
    return torch.linalg.qr(matrix_VS).Q
