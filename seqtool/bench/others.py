"""What else a machine does while it is measured: other programs make every number too low."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
BUSY_FIELDS = (0, 1, 2, 5, 6, 7)  # user, nice, system, interrupts (hard, soft), and what other guests of the host took


class OtherPrograms:
    """How busy others keep the processors, from when this is made on."""

    def __init__(self) -> None:
        self._began_s, self._before_s = time.monotonic(), _busy_s()

    def share(self) -> float | None:
        """The part of all processors' time that other programs had, 0 to 1; None where the system does not tell."""
        elapsed_s, now_s = time.monotonic() - self._began_s, _busy_s()
        if self._before_s is None or now_s is None:
            return None
        return min(max((now_s - self._before_s) / (elapsed_s * (os.cpu_count() or 1)), 0.0), 1.0)


def _busy_s() -> float | None:
    """Seconds that processors have worked for others than this process."""
    try:
        fields = STAT.read_text().splitlines()[0].split()[1:]
        all_s = sum(int(fields[place]) for place in BUSY_FIELDS) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    own = os.times()
    return all_s - own.user - own.system
