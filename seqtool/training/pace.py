"""How --time becomes a number of steps: by how long steps take and by the validations to come.

The plan is judged again with each validation until REPLAN_UNTIL of it is done, and made anew where it would miss the
time by more than REPLAN_OFF of it: other programs come and go. On a machine that stays as quiet as it was it is kept.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable

from seqtool.settings.training import TrainConfig
from seqtool.training.progress import Progress, validations

PLAN_SHARE, PLAN_S, PLAN_STEPS = 0.1, 30.0, 8  # of --time, seconds, steps: when it becomes a number of steps
REPLAN_UNTIL, REPLAN_OFF = 0.8, 0.1  # of the steps; of --time


class Pace:
    """The clock of a training, on from what was spent before, and the times at which steps ended."""

    def __init__(self, config: TrainConfig, progress: Progress, clock: Callable[[], float]) -> None:
        self._config, self._clock = config, clock
        self._began = clock() - progress.elapsed_s
        self._step_ends = [progress.elapsed_s]
        self._judged: tuple[int, float] | None = None  # at which step and second this process judged its plan last

    def elapsed_s(self) -> float:
        """Seconds that the training has taken, earlier parts included."""
        return self._clock() - self._began

    def record_step(self, progress: Progress) -> None:
        """Note when a step ended, while its time may be planned by."""
        if self._config.time and not progress.steps:
            self._step_ends.append(progress.elapsed_s)

    def plan_due(self, progress: Progress) -> bool:
        """Whether --time is no number of steps yet, and enough of them were taken here to judge by."""
        config = self._config
        if not config.time or progress.steps:
            return False
        spent_s, left_s = self._step_ends[-1] - self._step_ends[0], config.time - progress.elapsed_s
        enough = len(self._step_ends) > PLAN_STEPS and spent_s >= min(PLAN_SHARE * config.time, PLAN_S)
        return enough or spent_s > max(left_s, 0.0)

    def planned_steps(self, validation_s: float, progress: Progress) -> int:
        """How many steps --time is, judged by those taken and leaving time for the validations to come."""
        config = self._config
        taken = [after - before for before, after in itertools.pairwise(self._step_ends)]
        step_s = statistics.fmean(taken[len(taken) // 2 :])  # the first ones take longer
        left_s = config.time - progress.elapsed_s - validation_s
        if config.eval_every:
            step_s += validation_s / config.eval_every
        else:
            left_s = max(left_s - (validations(config) - 1) * validation_s, left_s / 2)
        self._judged = progress.step, self.elapsed_s()
        return progress.step + max(1, round(left_s / max(step_s, 1e-9)))

    def steps_now(self, progress: Progress) -> int:
        """The steps in all, judged again by those since the last validation, its own time included."""
        if self._judged is None or progress.step - self._judged[0] < PLAN_STEPS:
            return progress.steps
        (step, elapsed_s), spent_s = self._judged, self.elapsed_s()
        self._judged = progress.step, spent_s
        step_s, left_s = (spent_s - elapsed_s) / (progress.step - step), self._config.time - spent_s
        off_s = (progress.steps - progress.step) * step_s - left_s
        if progress.share(self._config) >= REPLAN_UNTIL or abs(off_s) <= REPLAN_OFF * self._config.time:
            return progress.steps
        return progress.step + max(1, round(left_s / max(step_s, 1e-9)))
