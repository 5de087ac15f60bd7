"""Suites of training at points that are spread over the settings of methods."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from rbench.errors import SpecError
from rbench.experiment import Cell
from rbench.methods import Dimension, LogUniform, Method
from rbench.methods.sobol import points
from rbench.run.suite import Platform, Suite
from rbench.run.training_suite import Entry, TrainingSuite
from rbench.sensitivity.space import BATCHES, MOMENTA, placed, setting_names
from rbench.tasks import Task
from rbench.train.cell import Training, held

if TYPE_CHECKING:
    from rbench.run.request import Request

FIRST_SEED = 1000
"""The seeds count from here, so that a run of the best settings, whose seeds count from 0, has others."""

SOBOL_SEED = 0


@dataclass(frozen=True)
class SensitivitySuite(Suite):
    """Methods at the points of a scrambled Sobol sequence over their settings, trained on equally many examples.

    The dimensions are those of `rbench.sensitivity.space.DIMENSIONS`; a setting in the brackets of a requested SPEC is
    held. Runs are judged on a validation split, as trials of a tune are. The budget is in epochs, so a smaller batch
    makes more steps; a last, smaller batch of an epoch is left out, so examples differ by less than a batch per epoch.

    Attributes:
        entries: tasks and their methods; their SPECs set no dimension.
        when_asked: entries whose tasks are run only where a request names them.
        rates: the range of the rate, by the name of a method.
        masses: the range of the mass; that of every rate is as wide.
        points: how many points of a method on a task.
        seeds: how many seeds each of them is run at, from `FIRST_SEED` on.

    Raises:
        SpecError: the ranges are not equally wide.
    """

    unused: ClassVar[tuple[str, ...]] = ("fixed", "evaluations", "tuned")
    name: str
    summary: str
    entries: tuple[Entry, ...]
    rates: Mapping[str, LogUniform]
    masses: LogUniform
    when_asked: tuple[Entry, ...] = ()
    points: int = 64
    seeds: int = 3
    threads: int | None = 1

    def __post_init__(self) -> None:
        """Check that all ranges are as wide."""
        width = self.masses.high / self.masses.low
        for method, rate in self.rates.items():
            if not math.isclose(rate.high / rate.low, width):
                raise SpecError(
                    f"suite {self.name!r}: the rates of {method}, {rate}, do not span as much as the masses, "
                    f"{self.masses}; shares of points are comparable only over equal ranges"
                )

    def count(self, request: "Request") -> int:
        return self._unvaried(request).count(request) * (request.points or self.points)

    def cells(self, request: "Request", platforms: Sequence[Platform]) -> list[Cell]:
        """The cells, as `Suite.cells` says.

        Raises:
            PluginError, SpecError: a name or setting that does not exist; a budget that is not in epochs; a method with
                nothing to vary, or whose range of rates is not known.
        """
        if request.budget is not None and request.budget.epochs is None:
            raise SpecError(
                f"suite {self.name!r} compares batches of several sizes after equally many examples: give the budget "
                "in `epochs`"
            )
        found: dict[tuple[str, str], list[tuple[Method, Task]]] = {}
        cells: list[Cell] = []
        for cell in cast(list[Training], self._unvaried(request).cells(request, platforms)):
            place = cell.task, cell.method
            if place not in found:
                found[place] = self._placed(request, cell)
            for method, task in found[place]:
                settings = {"method": method.spec, "task": task.spec, "seed": FIRST_SEED + cell.seed}
                cells.append(cell.model_copy(update=settings))
        return cells

    def contents(self) -> dict[str, list[str]]:
        return {"tasks": [entry.task for entry in (*self.entries, *self.when_asked)]}

    def _unvaried(self, request: "Request") -> TrainingSuite:
        """The suite of the methods as they are."""
        entries = (*self.entries, *self.when_asked) if request.tasks else self.entries
        return TrainingSuite(self.name, self.summary, entries, self.seeds, self.threads)

    def _placed(self, request: "Request", cell: Training) -> list[tuple[Method, Task]]:
        """The method and the task of a cell at every point."""
        method, task = cell.make_method(), cell.make_task()
        space = self._space(request, method, task)
        validated = task.changed(validation=True)
        return [placed(method, validated, point) for point in points(space, request.points or self.points, SOBOL_SEED)]

    def _space(self, request: "Request", method: Method, task: Task) -> dict[str, Dimension]:
        fixed = held("methods", request.methods, method.spec)
        free = [dimension for dimension, name in setting_names(method).items() if name not in fixed]
        if "rate" in free and method.name not in self.rates:
            raise SpecError(
                f"suite {self.name!r} has ranges of rates for {', '.join(self.rates)}, and none for {method.name!r}; "
                "write a suite with `rates` that has it, or set lr in its brackets"
            )
        ranges = {**self.rates, "mass": self.masses, "momentum": MOMENTA}
        space: dict[str, Dimension] = {name: ranges[method.name if name == "rate" else name] for name in free}
        batch_is_held = request.batch_size or "batch_size" in held("tasks", request.tasks, task.spec)
        if task.batch_size is not None and not batch_is_held:
            space["batch"] = BATCHES
        if not space:
            raise SpecError(f"nothing of {method.spec} on {task.spec} is left to vary: leave out a setting in brackets")
        return space
