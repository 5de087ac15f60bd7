"""A plan: searches, and the trials that they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rbench.losses import get_loss
from rbench.methods import Dimension
from rbench.methods.sobol import Point, points
from rbench.run import Training
from rbench.run.tuned import Judged


@dataclass(frozen=True)
class Search:
    """One method on one task.

    Attributes:
        cell: the run of the best settings, on the full training set and the test set; its method is the SPEC of the
            held settings.
        space: what is searched, by setting.
    """

    cell: Training
    space: Mapping[str, Dimension]

    @property
    def name(self) -> str:
        """The task and the method."""
        return f"{self.cell.method} on {self.cell.task}"

    @property
    def figure(self) -> Judged:
        """What trials are judged by: the figure of the task's target; without one, accuracy or squared error."""
        task = self.cell.make_task()
        if task.target is not None:
            return task.target.figure.removeprefix("test_")
        return "accuracy" if get_loss(task.loss).integer_targets else "squared_error"

    def space_in_words(self) -> str:
        """The space as one line."""
        return ", ".join(f"{key} {dimension}" for key, dimension in self.space.items())

    def trials(self, count: int, seed: int) -> "list[Trial]":
        """The first trials of the search, with the seed of their points and training."""
        return [self.trial(point, seed) for point in points(self.space, count, seed)]

    def trial(self, point: Point, seed: int) -> "Trial":
        """The trial of a point: trained on a part of the training set, judged on the rest at its end."""
        task = self.cell.make_task()
        method = self.cell.make_method()
        settings = {key: dimension.setting(point[key]) for key, dimension in self.space.items()}
        changes = {
            "task": task.changed(validation=True).spec,
            "method": method.changed(**settings).spec,
            "seed": seed,
            "budget": self.cell.budget.evaluated(1),
        }
        return Trial(self, point, self.cell.model_copy(update=changes))


class Trial(NamedTuple):
    """A point that a search tries, and the cell that tries it; points of a space of choices only may share a cell."""

    search: Search
    point: Point
    cell: Training


@dataclass(frozen=True)
class Plan:
    """All that determines the trials.

    Attributes:
        trials: number of trials per search.
        seed: of the Sobol points and of every trial.
        timeout: seconds per trial, or None.
        searches: what is searched.
        finalists: how many of the best trials of each search are run again, to choose among them.
        confirming: the seeds that they are run again on.
        memory_limit: bytes that a trial may hold resident, or None.
        run_seeds: seeds of the runs of the best settings, which no trial or confirmation has.
    """

    trials: int
    seed: int
    timeout: float | None
    searches: tuple[Search, ...]
    finalists: int = 0
    confirming: tuple[int, ...] = ()
    memory_limit: int | None = None
    run_seeds: tuple[int, ...] = ()

    def facts(self) -> dict[str, str]:
        """In words, everything but the number of trials: what must be the same for trials to be compared."""
        searches = ", ".join(sorted(search.name for search in self.searches))
        facts = {"seed": str(self.seed), "timeout": str(self.timeout), "memory limit": str(self.memory_limit)}
        facts |= {"searches": searches, "finalists": str(self.finalists), "confirming seeds": str(self.confirming)}
        for search in self.searches:
            own = {**dict(search.cell), "search space": search.space_in_words()}
            named = ("task", "method", "seed", "fixed")  # in trials nothing is fixed
            facts |= {f"{key} of {search.name}": str(value) for key, value in own.items() if key not in named}
        return facts
