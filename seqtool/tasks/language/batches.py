"""Mini-batches from a stream of ids. A batch is a pure function of the step, so that training can go on anywhere.

Every batch has B rows whatever computes them: a process among several asks for its `rows` and reads only these, so the
order of the text does not depend on how many processes there are. Wherever a state begins, in a stateless window or a
restarted lane, the first input is `<s>`, as in scoring and generation. Shapes: B batch, R rows asked for, T time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from seqtool.errors import InputError
from seqtool.models.loss import IGNORE
from seqtool.runs.config import RunConfig
from seqtool.tasks.language.data import TrainingData
from seqtool.text.sequences import IdSequence, document_spans
from seqtool.training.task import Batch, Batches

RESTART_STEPS = 32  # a lane's state is carried for this many batches, then begins afresh
JITTER_DEVIATION, JITTER_LEAST, JITTER_MOST = 5.0, 5, 20  # tokens: standard deviation; shortest; over --bptt at most
JITTER_WHOLE = 0.95  # share of the lengths that are drawn around --bptt, not around half of it
JITTER_BLOCK = 1024


class TextBatch(NamedTuple):
    """What a step reads: inputs and targets (R, T), IGNORE where nothing is scored; which rows begin afresh (R,); how
    many targets all B rows have; after how many inputs the next batch goes on; and what the rate is multiplied by."""

    inputs_BT: npt.NDArray[np.int64]
    targets_BT: npt.NDArray[np.int64]
    restarts_B: npt.NDArray[np.bool_]
    targets: int
    advance: int
    rate_factor: float = 1.0

    @property
    def rows(self) -> int:
        """R."""
        return len(self.inputs_BT)

    def restarts(self, device: torch.device) -> Tensor:
        """Which rows begin afresh, (R,)."""
        return torch.from_numpy(self.restarts_B).to(device)

    def part(self, rows: slice, device: torch.device) -> tuple[Tensor, Tensor, int]:
        """Inputs and targets of some rows, and after how many inputs the next batch goes on."""
        return _sent(self.inputs_BT[rows], device), _sent(self.targets_BT[rows], device), self.advance


def _sent(ids: npt.NDArray[np.int64], device: torch.device) -> Tensor:
    """Ids on the device; to a GPU they go while it computes."""
    tensor = torch.from_numpy(ids)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


class Lanes:
    """Stateful: B readers go side by side through the text, each on from where it was; the text's end meets its
    beginning.

    Every RESTART_STEPS batches a lane forgets its state and reads `<s>` in place of the token before, the lanes in
    turn: so the model also learns to begin.

    `advance` is k1 and `time` k2 of truncated back-propagation (Williams & Peng 1990): each batch goes k1 tokens
    forward and scores those, and gradients flow back through k2. With `jitter` each batch's length is drawn (Merity et
    al. 2017, section 5): around `time`, or for one in twenty around half of it.
    """

    def __init__(
        self,
        ids: IdSequence,
        batch_size: int,
        time: int,
        begin_id: int,
        *,
        advance: int = 0,
        jitter_seed: int | None = None,
    ) -> None:
        if len(ids) < max(batch_size, time + 1):
            raise InputError(
                f"{len(ids)} tokens of training text are too short for --batch-size {batch_size} and --bptt {time}: "
                "lower them or give more text"
            )
        self._ids, self._batch_size, self._time, self._begin_id = ids, batch_size, time, begin_id
        self._advance = advance or time
        self._lengths = None if jitter_seed is None else JitteredLengths(time, jitter_seed, len(ids))
        self._starts = [lane * len(ids) // batch_size for lane in range(batch_size)]

    @property
    def steps_per_pass(self) -> float:
        """Batches in which the text is read once, on average."""
        share = 1.0 if self._lengths is None else (1 + JITTER_WHOLE) / 2
        return len(self._ids) / (self._batch_size * self._advance * share)

    def batch(self, step: int, rows: slice) -> TextBatch:
        """Some rows of the batch of a step."""
        size = len(self._ids)
        position, time = self._lengths.span(step) if self._lengths else (step * self._advance, self._time)
        starts = self._starts[rows]
        ids_BT = np.empty((len(starts), time + 1), dtype=np.int64)
        for row, start in enumerate(starts):
            begin = (start + position - 1) % size
            head = self._ids[begin : begin + time + 1]
            ids_BT[row, : len(head)] = head
            if len(head) < time + 1:
                ids_BT[row, len(head) :] = self._ids[0 : time + 1 - len(head)]
        turns = np.arange(self._batch_size)[rows] * RESTART_STEPS // self._batch_size
        restarts = np.full(len(starts), step == 0) | ((turns + step) % RESTART_STEPS == 0)
        ids_BT[restarts, 0] = self._begin_id
        advance = min(self._advance, time) if self._lengths is None else time
        known = time - advance if step else 0  # scored in batches before; read again so that gradients reach through
        targets_BT = ids_BT[:, 1:].copy()
        targets_BT[:, :known] = IGNORE
        targets = self._batch_size * (time - known)
        return TextBatch(ids_BT[:, :-1], targets_BT, restarts, targets, advance, time / self._time)


class JitteredLengths:
    """Lengths of batches drawn at random, and where each batch begins, as functions of the step."""

    def __init__(self, time: int, seed: int, most: int) -> None:
        self._time, self._seed, self._most = time, seed, most
        self._ends: list[npt.NDArray[np.int64]] = []  # for each block of steps, where each of its batches ends

    def span(self, step: int) -> tuple[int, int]:
        """Tokens before the batch of a step, in its lane, and its length."""
        block, index = divmod(step, JITTER_BLOCK)
        while len(self._ends) <= block:
            before = int(self._ends[-1][-1]) if self._ends else 0
            self._ends.append(before + self._drawn(len(self._ends)).cumsum())
        ends = self._ends[block]
        begin = int(ends[index - 1]) if index else int(self._ends[block - 1][-1]) if block else 0
        return begin, int(ends[index]) - begin

    def _drawn(self, block: int) -> npt.NDArray[np.int64]:
        random = np.random.default_rng([self._seed, block])
        middle = np.where(random.random(JITTER_BLOCK) < JITTER_WHOLE, self._time, self._time / 2)
        drawn = np.rint(random.normal(middle, JITTER_DEVIATION))
        most = min(self._time + JITTER_MOST, self._most - 1)
        return drawn.clip(min(JITTER_LEAST, most), most).astype(np.int64)


class Windows:
    """Stateless: windows of T tokens in an order shuffled anew for each pass, from a random offset."""

    def __init__(self, ids: IdSequence, batch_size: int, time: int, begin_id: int, seed: int) -> None:
        if len(ids) < time:
            raise InputError(
                f"{len(ids)} tokens of training text are too short for windows of {time}: "
                "lower --context or --bptt, or give more text"
            )
        self._ids, self._batch_size, self._time, self._begin_id, self._seed = ids, batch_size, time, begin_id, seed
        self._per_pass = max(1, len(ids) // time - 1)
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    @property
    def steps_per_pass(self) -> float:
        """Batches in which the text is read once."""
        return len(self._ids) / (self._batch_size * self._time)

    def batch(self, step: int, rows: slice) -> TextBatch:
        """Some rows of the batch of a step."""
        numbers = range(step * self._batch_size, (step + 1) * self._batch_size)[rows]
        targets_BT = np.empty((len(numbers), self._time), dtype=np.int64)
        for row, number in enumerate(numbers):
            start = self._start(number)
            targets_BT[row] = self._ids[start : start + self._time]
        begins_B1 = np.full((len(numbers), 1), self._begin_id)
        inputs_BT = np.concatenate([begins_B1, targets_BT[:, :-1]], axis=1)
        fresh_B = np.ones(len(numbers), dtype=np.bool_)
        return TextBatch(inputs_BT, targets_BT, fresh_B, self._batch_size * self._time, self._time)

    def _start(self, number: int) -> int:
        text_pass, index = divmod(number, self._per_pass)
        if self._order[0] != text_pass:
            shuffle = np.random.default_rng([self._seed, text_pass])
            offset = shuffle.integers(len(self._ids) - self._per_pass * self._time + 1)
            self._order = (text_pass, offset + self._time * shuffle.permutation(self._per_pass))
        return int(self._order[1][index])


class Chunks:
    """The documents of a text cut into chunks of at most T tokens, none across a border."""

    def __init__(self, ids: IdSequence, begin_id: int, time: int) -> None:
        starts, ends = document_spans(ids, begin_id)
        written = ends > starts
        self._starts, self._lengths = starts[written], (ends - starts)[written]
        self._ids, self._time = ids, time
        self._ends = np.cumsum(-(-self._lengths // time))
        if not len(self._ends):
            raise InputError("the training text has no document with a token in it: give more text")

    def __len__(self) -> int:
        return int(self._ends[-1])

    def begins(self, chunks: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Which of these are the beginnings of documents."""
        return self._offsets(chunks)[1] == 0

    def sizes(self, chunks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Tokens of each."""
        documents, offsets = self._offsets(chunks)
        return np.minimum(self._time, self._lengths[documents] - offsets)

    def padded(
        self, chunks: npt.NDArray[np.int64], begin_id: int, fresh: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Inputs and targets (R, T) of some chunks: the input before a `fresh` one is `<s>`; IGNORE after its end."""
        documents, offsets = self._offsets(chunks)
        sizes = self.sizes(chunks)
        shape = (len(chunks), int(sizes.max(initial=1)))
        inputs_BT, targets_BT = np.full(shape, begin_id, dtype=np.int64), np.full(shape, IGNORE, dtype=np.int64)
        for row, size in enumerate(sizes.tolist()):
            start = int(self._starts[documents[row]] + offsets[row])
            targets_BT[row, :size] = self._ids[start : start + size]
            inputs_BT[row, 1:size] = targets_BT[row, : size - 1]
            if not fresh[row]:
                inputs_BT[row, 0] = self._ids[start - 1 : start][0]
        return inputs_BT, targets_BT

    def _offsets(self, chunks: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The document of each chunk, and where in it the chunk begins."""
        documents = np.searchsorted(self._ends, chunks, side="right")
        before = np.where(documents > 0, self._ends[documents - 1], 0)
        return documents, (chunks - before) * self._time


class DocumentLanes:
    """Stateful: B readers go side by side through the documents, and begin each one afresh, at a batch's beginning."""

    def __init__(self, chunks: Chunks, batch_size: int, begin_id: int) -> None:
        self._chunks, self._batch_size, self._begin_id = chunks, batch_size, begin_id
        self._starts = np.arange(batch_size, dtype=np.int64) * len(chunks) // batch_size

    @property
    def steps_per_pass(self) -> float:
        """Batches in which the text is read once."""
        return len(self._chunks) / self._batch_size

    def batch(self, step: int, rows: slice) -> TextBatch:
        """Some rows of the batch of a step."""
        all_chunks = (self._starts + step) % len(self._chunks)
        chunks = all_chunks[rows]
        fresh_B = self._chunks.begins(chunks) | (step == 0)
        inputs_BT, targets_BT = self._chunks.padded(chunks, self._begin_id, fresh_B)
        return TextBatch(inputs_BT, targets_BT, fresh_B, int(self._chunks.sizes(all_chunks).sum()), inputs_BT.shape[1])


class DocumentWindows:
    """Stateless: chunks of documents (with T as long as the longest: whole documents), shuffled anew for each pass."""

    def __init__(self, chunks: Chunks, batch_size: int, begin_id: int, seed: int) -> None:
        self._chunks, self._batch_size, self._begin_id, self._seed = chunks, batch_size, begin_id, seed
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    @property
    def steps_per_pass(self) -> float:
        """Batches in which the text is read once."""
        return len(self._chunks) / self._batch_size

    def batch(self, step: int, rows: slice) -> TextBatch:
        """Some rows of the batch of a step."""
        numbers = range(step * self._batch_size, (step + 1) * self._batch_size)
        all_chunks = np.array([self._chunk(number) for number in numbers], dtype=np.int64)
        chunks = all_chunks[rows]
        fresh_B = np.ones(len(chunks), dtype=np.bool_)
        inputs_BT, targets_BT = self._chunks.padded(chunks, self._begin_id, fresh_B)
        return TextBatch(inputs_BT, targets_BT, fresh_B, int(self._chunks.sizes(all_chunks).sum()), inputs_BT.shape[1])

    def _chunk(self, number: int) -> int:
        text_pass, index = divmod(number, len(self._chunks))
        if self._order[0] != text_pass:
            self._order = (text_pass, np.random.default_rng([self._seed, text_pass]).permutation(len(self._chunks)))
        return int(self._order[1][index])


class Resampled:
    """Batches of a text that is split into subwords anew for each pass (Kudo 2018; Provilkov et al. 2020).

    `of_pass` gives the batches of a pass. Passes have as many steps as the first one, for their lengths differ little.
    """

    def __init__(self, of_pass: Callable[[int], Batches]) -> None:
        self._of_pass = of_pass
        self._now = (0, of_pass(0))
        self._steps = max(1, int(self._now[1].steps_per_pass))

    @property
    def steps_per_pass(self) -> float:
        """Batches in which the text is read once."""
        return self._steps

    def batch(self, step: int, rows: slice) -> Batch:
        """Some rows of the batch of a step."""
        text_pass, index = divmod(step, self._steps)
        if self._now[0] != text_pass:
            self._now = (text_pass, self._of_pass(text_pass))
        return self._now[1].batch(index, rows)


def make_batches(data: TrainingData, config: RunConfig) -> Batches:
    """Batches of the training ids as the settings want them."""
    sample = data.sample
    if config.training.subword_sampling:
        assert sample is not None
        return Resampled(lambda text_pass: _batches_of(sample(text_pass), config))
    return _batches_of(data.train_ids, config)


def _batches_of(ids: IdSequence, config: RunConfig) -> Batches:
    training, begin_id = config.training, config.symbols.begin_id
    if training.within_documents:
        chunks = Chunks(ids, begin_id, training.bptt)
        if training.stateful:
            return DocumentLanes(chunks, training.batch_size, begin_id)
        return DocumentWindows(chunks, training.batch_size, begin_id, training.seed)
    if training.stateful:
        return Lanes(
            ids,
            training.batch_size,
            training.bptt,
            begin_id,
            advance=training.bptt_advance,
            jitter_seed=training.seed if training.bptt_jitter else None,
        )
    return Windows(ids, training.batch_size, training.bptt, begin_id, training.seed)
