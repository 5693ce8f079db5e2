"""Signals that end a training: the first after the step under way, the second at once."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from seqtool.errors import StoppedError

STOPPING = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2")


@contextmanager
def stop_flag() -> Iterator[Callable[[], int]]:
    """Give a function that tells which signal asked to stop, or 0."""
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
