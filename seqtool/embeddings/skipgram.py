"""Skip-gram and CBOW with negative sampling (Mikolov et al. 2013), as matrix products over shared noise words.

M neighbouring centres form a block, and share N noise words. Each stands for K / N of the K noise words that word2vec
draws for a prediction, so the expected gradient is the same, and it is a product of matrices (Ji et al. 2016,
"Parallelizing Word2Vec in Shared and Distributed Memory"). The objective, for each prediction of a centre o from an
input x:

    log sigmoid(x . o)  +  K / N  sum over the block's noise words n != o of  log sigmoid(-x . n)

In skip-gram x is each word of the window, as in word2vec's program; in CBOW it is their mean. A step computes the
gradients of a few blocks at the same weights and adds them. Gradients of the same word in one step do not see each
other's change, so their sum can overshoot: where a word is frequent, as in a ruled line, steps are shorter.

Shapes: B blocks of a step, M centres of a block, P positions that it reads, N noise words, D numbers in a vector,
V words, R rows of the input, which are words and n-grams.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from seqtool.embeddings.windows import ContextWindows, Noise
from seqtool.native import loading
from seqtool.native.loading import Count, Pointer
from seqtool.vectors.subwords import SubwordRows
from seqtool.vectors.vectors import FloatMatrix

if TYPE_CHECKING:
    import torch

MOST_BLOCKS, LOSS_EVERY = 256, 64  # skipgram.c says the same
BLOCK = 16  # centres that share noise words
NOISE = {"skipgram": 32, "cbow": 16}  # shared noise words, at least: more estimate better, and take longer
MOST_CHANGE = 3.6  # learning rate times terms of the objective that may change one word in one step


@dataclass(frozen=True)
class NegativeSampling:
    """A skip-gram or CBOW model, input (R, D) and output (V, D), which learning changes in place; and its objective."""

    input: FloatMatrix
    output: FloatMatrix
    subwords: SubwordRows | None
    cbow: bool
    negative: int
    window: int
    block: int
    blocks_per_step: int
    repeats: int
    """How often a word may be a centre of one step."""

    @property
    def noise(self) -> int:
        """Noise words that a block shares."""
        return max(NOISE["cbow" if self.cbow else "skipgram"], self.negative)


class StepPlan(NamedTuple):
    """Centres of a block, blocks of a step, how often a word may be a centre of one step, and a factor of the rate."""

    block: int
    blocks: int
    repeats: int
    lr_scale: float


def plan_steps(frequencies: npt.NDArray[np.float64], cbow: bool, window: int, negative: int, lr: float) -> StepPlan:
    """Plan steps for words with these frequencies (V,), which sum to 1.

    A centre brings (1 + K) terms for each pair of its window; in CBOW, where the mean moves less than each word, about
    a third of that. A step takes as many centres as change the most frequent word by MOST_CHANGE: few symbols, wide
    windows and high rates make steps short. Where one centre is too many, the rate is lowered. In a stretch of text
    where a word is more frequent than in the whole, `repeats` ends steps earlier.
    """
    terms = (max((window + 1) / 3, 2) if cbow else window + 1) * (1 + negative)
    centres = min(MOST_CHANGE / max(lr * terms * frequencies.max(), 1e-9), BLOCK * MOST_BLOCKS)
    block = int(max(1, min(BLOCK, centres)))
    lr_scale = min(1.0, centres / 2, MOST_CHANGE / max(lr * terms, 1e-9))
    repeats = min(MOST_CHANGE / max(lr * lr_scale * terms, 1e-9), BLOCK * MOST_BLOCKS)
    blocks = max(1, min(MOST_BLOCKS, int(centres / block)))
    return StepPlan(block, blocks, max(1, int(round(repeats, 6))), lr_scale)


def cut_steps(
    model: NegativeSampling, words: npt.NDArray[np.int32], first: int, last: int
) -> Iterator[tuple[int, int]]:
    """The steps over the centres first .. last - 1, as (begin, end): a step ends before a word would be its centre more
    than `repeats` times. With n-grams, a word counts as often as its rows were updated, on average.
    """
    counts: Counter[int] = Counter()
    begin = first
    for at in range(first, last):
        word = int(words[at])
        rows = [word] if model.subwords is None else model.subwords.rows_of(word).tolist()
        too_often = sum(counts[row] for row in rows) > (model.repeats - 1) * len(rows)
        if too_often or at == (begin // model.block + model.blocks_per_step) * model.block:
            yield begin, at
            begin = at
            counts.clear()
        counts.update(rows)
    if begin < last:
        yield begin, last


class _Weights(ctypes.Structure):
    _fields_ = [
        *((name, Pointer) for name in ("input", "output", "starts", "parts")),
        *((name, Count) for name in ("dim", "cbow", "negative", "noise", "block", "blocks", "most")),
    ]


class _Text(ctypes.Structure):
    _fields_ = [(name, Pointer) for name in ("words", "left", "right", "noise")]


def skipgram_library() -> ctypes.CDLL | None:
    """The compiled skipgram.c, or None."""
    return loading.part("skipgram")


class CompiledLearner:
    """Learns by skipgram.c, on all cores; the result does not depend on their number."""

    def __init__(self, model: NegativeSampling, library: ctypes.CDLL) -> None:
        self._model, self._library = model, library
        subwords = model.subwords
        self._weights = _Weights(
            *(array.ctypes.data for array in (model.input, model.output)),
            None if subwords is None else subwords.starts.ctypes.data,
            None if subwords is None else subwords.rows.ctypes.data,
            *(model.input.shape[1], model.cbow, model.negative, model.noise, model.block),
            *(model.blocks_per_step, model.repeats),
        )
        self._counts = np.zeros(len(model.input), np.int32)
        floats = library.seqtool_block_floats(ctypes.addressof(self._weights), model.window)
        self._scratch = np.empty(floats * model.blocks_per_step, np.float32)

    def learn(self, windows: ContextWindows, noise: Noise, first: int, last: int, lr: float) -> npt.NDArray[np.float64]:
        """Learn from the centres first .. last - 1, with noise words (blocks, N) from the block of `first` on, which is
        a multiple of the block's size. Return the loss in nats and the number of predictions of every LOSS_EVERYth
        block, or at a rate of 0 of every block.
        """
        arrays = (windows.words, windows.left, windows.right, noise)
        assert all(array.flags.c_contiguous for array in arrays)
        text = _Text(*(array.ctypes.data for array in arrays))
        loss, ends = np.zeros(2), np.empty(last - first, np.int64)
        both = ctypes.addressof(self._weights), ctypes.addressof(text)
        steps = self._library.seqtool_steps(*both, first, last, self._counts.ctypes.data, ends.ctypes.data)
        self._library.seqtool_predict(
            *(*both, first, ends.ctypes.data, steps, lr),
            *(self._scratch.ctypes.data, self._model.window, loss.ctypes.data),
        )
        return loss

    def weights(self) -> tuple[FloatMatrix, FloatMatrix]:
        """The input and output vectors as they are now."""
        return self._model.input, self._model.output


class _Step(NamedTuple):
    """What a step reads: the words at the positions of its blocks, its centres and its noise words; and two masks of 0
    and 1: the positions in each centre's window, and the noise words that are the centre itself.
    """

    inputs_BP: torch.Tensor
    centres_BM: torch.Tensor
    noise_BN: torch.Tensor
    near_BMP: torch.Tensor
    same_BMN: torch.Tensor


class _Terms(NamedTuple):
    """The scores x . o (right) and x . n (wrong) in the objective, with their weights."""

    right_weights: torch.Tensor
    right: torch.Tensor
    wrong_weights: torch.Tensor
    wrong: torch.Tensor

    def block_loss(self, block: int) -> list[float]:
        """The loss of a block in nats, and its number of predictions."""
        from torch.nn.functional import softplus

        right_weights, right, wrong_weights, wrong = (term[block].double() for term in self)
        nats = (right_weights * softplus(-right)).sum() + (wrong_weights * softplus(wrong)).sum()
        return [float(nats), float(right_weights.sum())]


class _Update(NamedTuple):
    """What a step adds to the vectors of its positions, centres and noise words; and the terms of its loss."""

    dX_BPD: torch.Tensor
    dO_BMD: torch.Tensor
    dY_BND: torch.Tensor
    terms: _Terms


class TorchLearner:
    """The same in torch operations, on any device: the equations of the objective's gradient."""

    def __init__(self, model: NegativeSampling, device: str) -> None:
        import torch

        self._model, self._device = model, torch.device(device)
        self._input, self._output = (torch.from_numpy(array).to(self._device) for array in (model.input, model.output))

    def weights(self) -> tuple[FloatMatrix, FloatMatrix]:
        """The input and output vectors as they are now."""
        return self._input.cpu().numpy(), self._output.cpu().numpy()

    def learn(self, windows: ContextWindows, noise: Noise, first: int, last: int, lr: float) -> npt.NDArray[np.float64]:
        """As CompiledLearner does."""
        loss = np.zeros(2)
        for begin, end in cut_steps(self._model, windows.words, first, last):
            of_step = noise[begin // self._model.block - first // self._model.block :]
            self._step(windows, of_step, begin, end, lr, loss)
        return loss

    def _step(
        self, windows: ContextWindows, noise_BN: Noise, first: int, last: int, lr: float, loss: npt.NDArray[np.float64]
    ) -> None:
        """Take one gradient step from the centres first .. last - 1, and add the sampled blocks' loss to `loss`."""
        block = self._model.block
        numbers_B = np.arange(first // block, -(-last // block))
        step = self._gather(windows, noise_BN[: len(numbers_B)], numbers_B, first, last)
        X_BPD = self._read(step.inputs_BP)
        O_BMD, Y_BND = self._output[step.centres_BM], self._output[step.noise_BN]
        share = self._model.negative / self._model.noise
        update = (_cbow_update if self._model.cbow else _skipgram_update)(step, X_BPD, O_BMD, Y_BND, share, lr)
        self._add_to_input(step.inputs_BP, update.dX_BPD)
        add_rows(self._output, step.centres_BM.flatten(), update.dO_BMD.flatten(0, 1))
        add_rows(self._output, step.noise_BN.flatten(), update.dY_BND.flatten(0, 1))
        for b in np.flatnonzero((numbers_B % LOSS_EVERY == 0) | (lr == 0)).tolist():
            loss += update.terms.block_loss(b)

    def _gather(
        self, windows: ContextWindows, noise_BN: Noise, numbers_B: npt.NDArray[np.int64], first: int, last: int
    ) -> _Step:
        """What a step over the blocks `numbers_B` reads, where only the centres first .. last - 1 count."""
        block, reach = self._model.block, self._model.window
        centres_BM = numbers_B[:, None] * block + np.arange(block)
        counted_BM = (first <= centres_BM) & (centres_BM < last)
        centres_BM = np.clip(centres_BM, first, last - 1)
        positions_BP = numbers_B[:, None] * block + np.arange(-reach, block + reach)
        offset_BMP = positions_BP[:, None, :] - centres_BM[:, :, None]
        near_BMP = counted_BM[:, :, None] & (offset_BMP != 0)
        near_BMP &= (-offset_BMP <= windows.left[centres_BM][:, :, None].astype(np.int64)) & (
            offset_BMP <= windows.right[centres_BM][:, :, None].astype(np.int64)
        )
        inputs_BP = windows.words[np.clip(positions_BP, 0, len(windows.words) - 1)]
        same_BMN = windows.words[centres_BM][:, :, None] == noise_BN[:, None, :]
        return _Step(
            *map(self._tensor, (inputs_BP, windows.words[centres_BM], noise_BN)),
            *(self._tensor(mask.astype(np.float32)) for mask in (near_BMP, same_BMN)),
        )

    def _tensor(self, array: npt.NDArray) -> torch.Tensor:
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return (tensor if tensor.is_floating_point() else tensor.long()).to(self._device)

    def _read(self, words_BP: torch.Tensor) -> torch.Tensor:
        """The input vectors of words, (B, P, D): their rows, or with n-grams the means of their rows."""
        from torch.nn.functional import embedding_bag

        if self._model.subwords is None:
            return self._input[words_BP]
        rows, lengths = self._rows_of(words_BP)
        means = embedding_bag(rows, self._input, lengths.cumsum(0) - lengths, mode="mean")
        return means.unflatten(0, words_BP.shape)

    def _add_to_input(self, words_BP: torch.Tensor, gradients_BPD: torch.Tensor) -> None:
        """Add to the input vectors of words; each row of a word gets its whole gradient, as in fastText."""
        if self._model.subwords is None:
            add_rows(self._input, words_BP.flatten(), gradients_BPD.flatten(0, 1))
            return
        rows, lengths = self._rows_of(words_BP)
        add_rows(self._input, rows, gradients_BPD.flatten(0, 1).repeat_interleave(lengths, 0))

    def _rows_of(self, words_BP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows of all words one after the other, and the number of rows of each word."""
        assert self._model.subwords is not None
        starts, rows = self._model.subwords.starts, self._model.subwords.rows
        words = words_BP.flatten().cpu().numpy()
        lengths = starts[words + 1] - starts[words]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self._tensor(rows[np.repeat(starts[words], lengths) + within]), self._tensor(lengths)


def _skipgram_update(
    step: _Step, X_BPD: torch.Tensor, O_BMD: torch.Tensor, Y_BND: torch.Tensor, share: float, lr: float
) -> _Update:
    """Skip-gram: each word in a centre's window predicts the centre; `share` is K / N."""
    near_BMP = step.near_BMP
    right_BMP, wrong_BPN = O_BMD @ X_BPD.mT, X_BPD @ Y_BND.mT
    weights_BPN = share * (near_BMP.sum(1).unsqueeze(2) - near_BMP.mT @ step.same_BMN)
    pull_BMP = lr * near_BMP * (-right_BMP).sigmoid()
    push_BPN = -lr * weights_BPN * wrong_BPN.sigmoid()
    return _Update(
        pull_BMP.mT @ O_BMD + push_BPN @ Y_BND,
        pull_BMP @ X_BPD,
        push_BPN.mT @ X_BPD,
        _Terms(near_BMP, right_BMP, weights_BPN, wrong_BPN),
    )


def _cbow_update(
    step: _Step, X_BPD: torch.Tensor, O_BMD: torch.Tensor, Y_BND: torch.Tensor, share: float, lr: float
) -> _Update:
    """CBOW: the mean H of the words in a centre's window predicts the centre; each word gets the whole gradient of H,
    as in word2vec's program.
    """
    near_BMP = step.near_BMP
    window_BM1 = near_BMP.sum(2, keepdim=True)
    some_BM1 = (window_BM1 > 0).float()
    H_BMD = near_BMP @ X_BPD / window_BM1.clamp(min=1)
    right_BM1 = (H_BMD * O_BMD).sum(2, keepdim=True)
    wrong_BMN, weights_BMN = H_BMD @ Y_BND.mT, share * some_BM1 * (1 - step.same_BMN)
    pull_BM1 = lr * some_BM1 * (-right_BM1).sigmoid()
    push_BMN = -lr * weights_BMN * wrong_BMN.sigmoid()
    return _Update(
        near_BMP.mT @ (pull_BM1 * O_BMD + push_BMN @ Y_BND),
        pull_BM1 * H_BMD,
        push_BMN.mT @ H_BMD,
        _Terms(some_BM1, right_BM1, weights_BMN, wrong_BMN),
    )


def add_rows(table_RD: torch.Tensor, rows_N: torch.Tensor, gradients_ND: torch.Tensor) -> None:
    """Add gradients to rows of a table; those of the same row are summed first, so that the order of summation is the
    same on every device.
    """
    import torch
    from torch.nn.functional import embedding_bag

    sorted_N, order_N = rows_N.sort(stable=True)
    first_N = torch.ones_like(sorted_N, dtype=torch.bool)
    first_N[1:] = sorted_N[1:] != sorted_N[:-1]
    starts = first_N.nonzero().squeeze(1)
    table_RD.index_add_(0, sorted_N[starts], embedding_bag(order_N, gradients_ND, starts, mode="sum"))
