"""How busy other programs keep a machine while it is measured: they make every figure too low."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
BUSY_FIELDS = (0, 1, 2, 5, 6, 7)  # user, nice, system, hard and soft interrupts, stolen by other guests of the host


class OtherPrograms:
    """Watches, from its creation on, how busy other programs keep the processors."""

    def __init__(self) -> None:
        self._began_s, self._before_s = time.monotonic(), _busy_s()

    def share(self) -> float | None:
        """The share of all processors' time that other programs took, 0 to 1; None where the system does not say."""
        elapsed_s, now_s = time.monotonic() - self._began_s, _busy_s()
        if self._before_s is None or now_s is None:
            return None
        return min(max((now_s - self._before_s) / (elapsed_s * (os.cpu_count() or 1)), 0.0), 1.0)


def _busy_s() -> float | None:
    """Seconds that all processors have worked for other processes than this; None where the system does not say."""
    try:
        fields = STAT.read_text().splitlines()[0].split()[1:]
        all_s = sum(int(fields[place]) for place in BUSY_FIELDS) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    own = os.times()
    return all_s - own.user - own.system
