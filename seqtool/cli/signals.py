"""Stopping a training by signals: the first stops it after the current step, the second at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from seqtool.errors import StoppedError

STOPPING = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")


@contextmanager
def stop_flag() -> Iterator[Callable[[], int]]:
    """While the block runs, catch signals; give a function that returns the number of the first one, or 0.

    A second signal raises StoppedError.
    """
    received = 0

    def remember(number: int, frame: object) -> None:
        nonlocal received
        if received:
            raise StoppedError(number, "stopped at once")
        received = number

    numbers = [getattr(signal, name) for name in STOPPING if hasattr(signal, name)]
    before = {number: signal.signal(number, remember) for number in numbers}
    try:
        yield lambda: received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
