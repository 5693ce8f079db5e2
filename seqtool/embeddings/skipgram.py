"""Skip-gram and CBOW with negative sampling (Mikolov et al. 2013), in matrix products over shared noise words.

Neighbouring centres form a block that shares N noise words. Each stands for K / N of the K noise words that every
prediction has, so the expected gradient is the same, and it is a product of matrices (Ji et al. 2016, "Parallelizing
Word2Vec in Shared and Distributed Memory"). The objective, for each prediction of a centre o from an input x:

    log sigmoid(x . o)  +  K / N  sum over the block's noise words n != o of  log sigmoid(-x . n)

In skip-gram x is each word of the window, as word2vec's program has it; in CBOW their mean. A step takes the gradients
of a few blocks at the same weights and adds them. Where a word stands often, as in a ruled line, steps are shorter:
gradients of one word that do not see each other must not add up to more than they would bring one after the other.

Shapes: B blocks of a step, M centres of a block, P positions that it can read, N noise words, D numbers in a vector.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from seqtool.embeddings.windows import ContextWindows, Noise
from seqtool.native import loading
from seqtool.native.loading import Count, Pointer
from seqtool.vectors.subwords import SubwordRows
from seqtool.vectors.vectors import FloatMatrix

if TYPE_CHECKING:
    import torch

MOST_BLOCKS, LOSS_EVERY = 256, 64  # of skipgram.c; it says the same
BLOCK = 16  # centres that share noise words
NOISE = {"skipgram": 32, "cbow": 16}  # shared noise words, at least: more make a better estimate, and take longer
MOST_CHANGE = 3.6  # rate times terms of the objective, for a word in a step: these gradients do not see each other


@dataclass(frozen=True)
class NegativeSampling:
    """What is learned, input (R, D) and output (V, D), and how: the weights change in place."""

    input: FloatMatrix
    output: FloatMatrix
    subwords: SubwordRows | None
    cbow: bool
    negative: int
    window: int
    block: int
    blocks_a_step: int
    most: int
    """How often a word is a centre of one step, at most."""

    @property
    def noise(self) -> int:
        """Noise words that a block shares."""
        return max(NOISE["cbow" if self.cbow else "skipgram"], self.negative)


def plan_steps(
    frequencies: npt.NDArray[np.float64], cbow: bool, window: int, negative: int, lr: float
) -> tuple[int, int, int, float]:
    """Centres of a block, blocks of a step, how often a word is a step's centre at most, and what to multiply the rate
    by, for words of these frequencies.

    Each centre of a word brings (1 + K) terms for each pair of its window, in CBOW, whose means move less than their
    words, about a third. As many as change the word by MOST_CHANGE are learned from at once: few symbols, wide windows
    and high rates make steps short. Where one centre is too many, the rate goes down. A stretch of text that has a word
    more often than the whole has shorter steps.
    """
    terms = (max((window + 1) / 3, 2) if cbow else window + 1) * (1 + negative)
    centres = min(MOST_CHANGE / max(lr * terms * frequencies.max(), 1e-9), BLOCK * MOST_BLOCKS)
    block = int(max(1, min(BLOCK, centres)))
    caution = min(1.0, centres / 2, MOST_CHANGE / max(lr * terms, 1e-9))
    most = min(MOST_CHANGE / max(lr * caution * terms, 1e-9), BLOCK * MOST_BLOCKS)
    return block, max(1, min(MOST_BLOCKS, int(centres / block))), max(1, int(round(most, 6))), caution


def cut_steps(
    model: NegativeSampling, words: npt.NDArray[np.int32], first: int, last: int
) -> Iterator[tuple[int, int]]:
    """The steps over the centres first .. last - 1, as (begin, end): each ends before the centre that would be the
    (most + 1)th of its word in it. With n-grams a word has been a centre as often as its rows have, on average.
    """
    counts: Counter[int] = Counter()
    begin = first
    for at in range(first, last):
        word = int(words[at])
        rows = (
            [word]
            if model.subwords is None
            else model.subwords.rows[model.subwords.starts[word] : model.subwords.starts[word + 1]].tolist()
        )
        too_often = sum(counts[row] for row in rows) > (model.most - 1) * len(rows)
        if too_often or at == (begin // model.block + model.blocks_a_step) * model.block:
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
    """Learns from windows by skipgram.c, on all cores; the result does not depend on how many."""

    def __init__(self, model: NegativeSampling, library: ctypes.CDLL) -> None:
        self._model, self._library = model, library
        parts = model.subwords
        self._weights = _Weights(
            *(array.ctypes.data for array in (model.input, model.output)),
            None if parts is None else parts.starts.ctypes.data,
            None if parts is None else parts.rows.ctypes.data,
            *(model.input.shape[1], model.cbow, model.negative, model.noise, model.block),
            *(model.blocks_a_step, model.most),
        )
        self._counts = np.zeros(len(model.input), np.int32)
        floats = library.seqtool_block_floats(ctypes.addressof(self._weights), model.window)
        self._scratch = np.empty(floats * model.blocks_a_step, np.float32)

    def learn(self, windows: ContextWindows, noise: Noise, first: int, last: int, lr: float) -> npt.NDArray[np.float64]:
        """Learn from the centres first .. last - 1 (`first` a multiple of the block) with N noise words for each block;
        of every LOSS_EVERYth block, and at a rate of 0 of every one, the loss in nats and the number of predictions.
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
        """Input and output as they are now."""
        return self._model.input, self._model.output


class TorchLearner:
    """The same in torch operations, on any device: the equations written out."""

    def __init__(self, model: NegativeSampling, device: str) -> None:
        import torch

        self._model, self._device = model, torch.device(device)
        self._input, self._output = (torch.from_numpy(array).to(self._device) for array in (model.input, model.output))

    def weights(self) -> tuple[FloatMatrix, FloatMatrix]:
        """Input and output as they are now."""
        return self._input.cpu().numpy(), self._output.cpu().numpy()

    def learn(self, windows: ContextWindows, noise: Noise, first: int, last: int, lr: float) -> npt.NDArray[np.float64]:
        """As in CompiledLearner."""
        loss = np.zeros(2)
        for begin, end in cut_steps(self._model, windows.words, first, last):
            of_step = noise[begin // self._model.block - first // self._model.block :]
            self._step(windows, of_step, begin, end, lr, loss)
        return loss

    def _step(
        self, windows: ContextWindows, noise_BN: Noise, first: int, last: int, lr: float, loss: npt.NDArray[np.float64]
    ) -> None:
        import torch

        block, reach = self._model.block, self._model.window
        numbers_B = np.arange(first // block, -(-last // block))
        noise_BN = noise_BN[: len(numbers_B)]
        centres_BM = numbers_B[:, None] * block + np.arange(block)
        counted_BM = (first <= centres_BM) & (centres_BM < last)
        centres_BM = np.clip(centres_BM, first, last - 1)
        positions_BP = numbers_B[:, None] * block + np.arange(-reach, block + reach)
        offset_BMP = positions_BP[:, None, :] - centres_BM[:, :, None]
        near_BMP = counted_BM[:, :, None] & (offset_BMP != 0)
        near_BMP &= (-offset_BMP <= windows.left[centres_BM][:, :, None].astype(np.int64)) & (
            offset_BMP <= windows.right[centres_BM][:, :, None].astype(np.int64)
        )
        read_BP = windows.words[np.clip(positions_BP, 0, len(windows.words) - 1)]
        same_BMN = windows.words[centres_BM][:, :, None] == noise_BN[:, None, :]

        near, same = (self._tensor(array.astype(np.float32)) for array in (near_BMP, same_BMN))
        inputs, centres, noise = map(self._tensor, (read_BP, windows.words[centres_BM], noise_BN))
        X_BPD = self._read(inputs)
        O_BMD, Y_BND = self._output[centres], self._output[noise]
        share = self._model.negative / self._model.noise
        if self._model.cbow:
            window_BM1 = near.sum(2, keepdim=True)
            some_BM1 = (window_BM1 > 0).float()
            H_BMD = near @ X_BPD / window_BM1.clamp(min=1)
            right_BM1 = (H_BMD * O_BMD).sum(2, keepdim=True)
            wrong_BMN, weights_BMN = H_BMD @ Y_BND.mT, share * some_BM1 * (1 - same)
            pull_BM1 = lr * some_BM1 * torch.sigmoid(-right_BM1)
            push_BMN = -lr * weights_BMN * torch.sigmoid(wrong_BMN)
            dX_BPD = near.mT @ (pull_BM1 * O_BMD + push_BMN @ Y_BND)
            dO_BMD, dN_BND = pull_BM1 * H_BMD, push_BMN.mT @ H_BMD
            losses = (some_BM1, right_BM1, weights_BMN, wrong_BMN)
        else:
            right_BMP, wrong_BPN = O_BMD @ X_BPD.mT, X_BPD @ Y_BND.mT
            weights_BPN = share * (near.sum(1).unsqueeze(2) - near.mT @ same)
            pull_BMP = lr * near * torch.sigmoid(-right_BMP)
            push_BPN = -lr * weights_BPN * torch.sigmoid(wrong_BPN)
            dX_BPD = pull_BMP.mT @ O_BMD + push_BPN @ Y_BND
            dO_BMD, dN_BND = pull_BMP @ X_BPD, push_BPN.mT @ X_BPD
            losses = (near, right_BMP, weights_BPN, wrong_BPN)
        self._add_to_input(inputs, dX_BPD)
        add_rows(self._output, centres.flatten(), dO_BMD.flatten(0, 1))
        add_rows(self._output, noise.flatten(), dN_BND.flatten(0, 1))
        for b in np.flatnonzero((numbers_B % LOSS_EVERY == 0) | (lr == 0)).tolist():
            rights, right, wrongs, wrong = (part[b].double() for part in losses)
            softplus = torch.nn.functional.softplus
            loss += [float((rights * softplus(-right)).sum() + (wrongs * softplus(wrong)).sum()), float(rights.sum())]

    def _tensor(self, array: npt.NDArray) -> torch.Tensor:
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(array))
        return (tensor if tensor.is_floating_point() else tensor.long()).to(self._device)

    def _read(self, words_BP: torch.Tensor) -> torch.Tensor:
        """The vectors of words, (B, P, D): rows of the input, or means of rows."""
        from torch.nn.functional import embedding_bag

        if self._model.subwords is None:
            return self._input[words_BP]
        rows, lengths = self._rows_of(words_BP)
        means = embedding_bag(rows, self._input, lengths.cumsum(0) - lengths, mode="mean")
        return means.unflatten(0, words_BP.shape)

    def _add_to_input(self, words_BP: torch.Tensor, gradients_BPD: torch.Tensor) -> None:
        """Add to rows of words; a gradient in full to each row of its word."""
        if self._model.subwords is None:
            add_rows(self._input, words_BP.flatten(), gradients_BPD.flatten(0, 1))
            return
        rows, lengths = self._rows_of(words_BP)
        add_rows(self._input, rows, gradients_BPD.flatten(0, 1).repeat_interleave(lengths, 0))

    def _rows_of(self, words_BP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The rows of each word, one word after the other, and how many each has."""
        assert self._model.subwords is not None
        starts, rows = self._model.subwords.starts, self._model.subwords.rows
        words = words_BP.flatten().cpu().numpy()
        lengths = starts[words + 1] - starts[words]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return self._tensor(rows[np.repeat(starts[words], lengths) + within]), self._tensor(lengths)


def add_rows(table_RD: torch.Tensor, rows_N: torch.Tensor, gradients_ND: torch.Tensor) -> None:
    """Add gradients to rows of a table, those of one row summed first: in one order on every device."""
    import torch
    from torch.nn.functional import embedding_bag

    sorted_N, order_N = rows_N.sort(stable=True)
    first_N = torch.ones_like(sorted_N, dtype=torch.bool)
    first_N[1:] = sorted_N[1:] != sorted_N[:-1]
    starts = first_N.nonzero().squeeze(1)
    table_RD.index_add_(0, sorted_N[starts], embedding_bag(order_N, gradients_ND, starts, mode="sum"))
