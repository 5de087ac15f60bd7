"""The progress of a run: how much of its budget is used, and when it is evaluated."""

import math
from bisect import bisect_right

from rbench.errors import Skip
from rbench.train.budget import MOST_EVALUATIONS, Budget

EVALUATIONS = 10
"""Fewest evaluations after the start of a run that has as many steps."""

UNTIMED = 1_000_000
"""Steps that a budget of seconds is assumed to hold before any is timed."""


class BudgetProgress:
    """Fractions of a budget, by steps or by seconds of training.

    Attributes:
        marks: ascending fractions up to 1, after which the run is evaluated: evenly, as often as the budget says; else
            evenly in time, or evenly within each epoch and at its end; with more than `MOST_EVALUATIONS` epochs, evenly
            that often.
        from_start: whether the start is evaluated too.

    Raises:
        Skip: the budget asks for more evaluations than it has steps.
    """

    def __init__(self, budget: Budget, steps_per_epoch: int) -> None:
        self._seconds = budget.seconds
        self._steps = budget.steps or (budget.epochs or 0) * steps_per_epoch
        self.from_start = budget.evaluations is None
        if self._seconds is not None:
            self.marks = _evenly(budget.evaluations or EVALUATIONS)
            return
        if (budget.evaluations or 0) > self._steps:
            raise Skip(
                f"is to be evaluated {budget.evaluations:,} times, but {budget.length} are {self._steps:,} steps; "
                "lower `evaluations`"
            )
        count = budget.evaluations or (MOST_EVALUATIONS if self._steps > MOST_EVALUATIONS * steps_per_epoch else None)
        if count is not None:
            stops = sorted({max(1, round(mark * self._steps)) for mark in _evenly(count)})
        else:
            stops = _stops(self._steps, steps_per_epoch)
        self.marks = [stop / self._steps for stop in stops]

    @property
    def timed(self) -> bool:
        """Whether the budget is in seconds."""
        return self._seconds is not None

    def fraction(self, done: int, seconds: float) -> float:
        """How much of the budget is used, 1 at its end or after."""
        return done / self._steps if self._seconds is None else seconds / self._seconds

    def over(self, seconds: float) -> bool:
        """Whether the seconds of steps exceed the budget."""
        return self._seconds is not None and seconds > self._seconds

    def total(self, done: int, seconds: float) -> int:
        """Steps of the whole run; for a budget of seconds, those expected at the progress so far."""
        if self._seconds is None:
            return self._steps
        return max(done + 1, round(done * self._seconds / seconds)) if done and seconds else UNTIMED

    def next_mark(self, fraction: float) -> float:
        """The first mark after a fraction below 1."""
        return self.marks[bisect_right(self.marks, fraction)]


def _evenly(count: int) -> list[float]:
    return [(i + 1) / count for i in range(count)]


def _stops(total: int, steps_per_epoch: int) -> list[int]:
    per_epoch = max(1, math.ceil(EVALUATIONS * steps_per_epoch / total))
    within = [max(1, round(steps_per_epoch * (i + 1) / per_epoch)) for i in range(per_epoch)]
    epochs = range(math.ceil(total / steps_per_epoch))
    steps = {min(total, epoch * steps_per_epoch + offset) for epoch in epochs for offset in within}
    return sorted(steps | {total})
