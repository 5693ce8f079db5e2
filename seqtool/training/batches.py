"""Mini-batches from a stream of ids. A batch is a pure function of the step, so that training can go on anywhere.

Wherever a state begins, in a stateless window or a restarted lane, the first input is `<s>`, as in scoring and
generation. Shapes: B batch, T time.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from seqtool.errors import InputError

RESTART_STEPS = 32  # a lane's state is carried for this many batches, then begins afresh


class IdSequence(Protocol):
    """A long sequence of ids of which parts are taken."""

    def __len__(self) -> int: ...
    def __getitem__(self, span: slice) -> npt.NDArray[np.unsignedinteger]: ...


class Batch(NamedTuple):
    """What a step reads: inputs and targets (B, T), and which rows begin afresh (B,)."""

    inputs_BT: npt.NDArray[np.int64]
    targets_BT: npt.NDArray[np.int64]
    restarts_B: npt.NDArray[np.bool_]


class Batches(Protocol):
    """Mini-batches of a text."""

    batch_size: int
    time: int

    def batch(self, step: int) -> Batch: ...


class Lanes:
    """Stateful: B readers go side by side through the text, each on from where it was; the text's end meets its
    beginning.

    Every RESTART_STEPS batches a lane forgets its state and reads `<s>` in place of the token before, the lanes in
    turn: so the model also learns to begin.
    """

    def __init__(self, ids: IdSequence, batch_size: int, time: int, begin_id: int) -> None:
        if len(ids) < max(batch_size, time + 1):
            raise InputError(
                f"{len(ids)} tokens of training text are too short for --batch-size {batch_size} and --bptt {time}: "
                "lower them or give more text"
            )
        self._ids, self.batch_size, self.time, self._begin_id = ids, batch_size, time, begin_id
        self._starts = [lane * len(ids) // batch_size for lane in range(batch_size)]

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        size = len(self._ids)
        rows = np.empty((self.batch_size, self.time + 1), dtype=np.int64)
        for lane, start in enumerate(self._starts):
            begin = (start + step * self.time - 1) % size
            head = self._ids[begin : begin + self.time + 1]
            rows[lane, : len(head)] = head
            if len(head) < self.time + 1:
                rows[lane, len(head) :] = self._ids[0 : self.time + 1 - len(head)]
        turns = np.arange(self.batch_size) * RESTART_STEPS // self.batch_size
        restarts = np.full(self.batch_size, step == 0) | ((turns + step) % RESTART_STEPS == 0)
        rows[restarts, 0] = self._begin_id
        return Batch(rows[:, :-1], rows[:, 1:], restarts)


class Windows:
    """Stateless: windows of T tokens in an order shuffled anew for each pass, from a random offset."""

    def __init__(self, ids: IdSequence, batch_size: int, time: int, begin_id: int, seed: int) -> None:
        if len(ids) < time:
            raise InputError(
                f"{len(ids)} tokens of training text are too short for windows of {time}: "
                "lower --context or --bptt, or give more text"
            )
        self._ids, self.batch_size, self.time, self._begin_id, self._seed = ids, batch_size, time, begin_id, seed
        self._per_pass = max(1, len(ids) // time - 1)
        self._order: tuple[int, npt.NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        targets = np.empty((self.batch_size, self.time), dtype=np.int64)
        for row in range(self.batch_size):
            start = self._start(step * self.batch_size + row)
            targets[row] = self._ids[start : start + self.time]
        inputs = np.concatenate([np.full((self.batch_size, 1), self._begin_id), targets[:, :-1]], axis=1)
        return Batch(inputs, targets, np.ones(self.batch_size, dtype=np.bool_))

    def _start(self, number: int) -> int:
        text_pass, index = divmod(number, self._per_pass)
        if self._order[0] != text_pass:
            shuffle = np.random.default_rng([self._seed, text_pass])
            offset = shuffle.integers(len(self._ids) - self._per_pass * self.time + 1)
            self._order = (text_pass, offset + self.time * shuffle.permutation(self._per_pass))
        return int(self._order[1][index])
