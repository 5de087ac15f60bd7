"""Suites that train: tasks, the methods that are compared on each, and a budget."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from rbench.errors import SpecError
from rbench.experiment import Cell
from rbench.names import did_you_mean, shown
from rbench.plugins import plugins
from rbench.run.suite import Platform, Suite
from rbench.run.tuned import Tuned, TunedFile, read_tuned
from rbench.spec import parse
from rbench.tasks.base import Task
from rbench.train.budget import Budget
from rbench.train.cell import SOURCES, Training, configured, count

if TYPE_CHECKING:
    from rbench.run.request import Request


@dataclass(frozen=True)
class Entry:
    """One task of a suite and the methods that are compared on it.

    Attributes:
        task: SPEC of the task.
        methods: SPECs of the methods, with their tuned settings.
        epochs: budget, the task's default if None.
    """

    task: str
    methods: tuple[str, ...]
    epochs: int | None = None


@dataclass(frozen=True)
class TrainingSuite(Suite):
    """A suite that trains.

    Attributes:
        entries: tasks and their methods.
        seeds: how many seeds, from 0 on.
        tuning: how the methods' settings were found, for the table's footnotes.
        tuned: a file that `rbench tune` wrote; its settings replace the entries' own, per task and method.
        dtype: as `Suite.dtype`, for tasks that one dtype alone suits.
        labels: as `Suite.labels`.

    Raises:
        SpecError: a SPEC among the labels cannot be read.
    """

    name: str
    summary: str
    entries: tuple[Entry, ...]
    seeds: int = 1
    threads: int | None = None
    tuning: str = ""
    tuned: Path | None = None
    dtype: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for spec in self.labels:
            parse(spec)

    def count(self, request: "Request") -> int:
        """How many cells a request makes per platform, without making them; methods that a tune adds do not count."""
        total = 0
        for entry in self._entries(request):
            specs = [one for spec in request.methods or entry.methods for one in _sources(request, spec, entry.methods)]
            total += count("tasks", entry.task) * sum(count("methods", one) for one in specs)
        return total * (request.seeds or self.seeds)

    def cells(self, request: "Request", platforms: Sequence[Platform]) -> list[Cell]:
        cells: list[Cell] = []
        for entry in self._entries(request):
            for task in _tasks(request, entry.task):
                budget = request.budget or Budget(epochs=entry.epochs or task.epochs)
                if request.evaluations is not None:
                    budget = budget.evaluated(request.evaluations)
                methods = _methods(request, self.tuned_file(request).applied(task.spec, entry.methods))
                for method, (backend, dtype, device), seed in product(
                    methods, platforms, range(request.seeds or self.seeds)
                ):
                    cell = Training(
                        suite=self.name,
                        task=task.spec,
                        method=method,
                        backend=backend,
                        device=device,
                        dtype=self.dtype or dtype,
                        seed=seed,
                        fixed=request.fixed,
                        budget=budget,
                        threads=request.threads_of(self),
                        unofficial_data=request.unofficial_data,
                    )
                    _check_cell(cell)
                    cells.append(cell)
        return cells

    def tuned_by(self, request: "Request", cell: Cell) -> Tuned | None:
        return self.tuned_file(request).found(cell.task).get(cell.method) if isinstance(cell, Training) else None

    def tuned_file(self, request: "Request") -> TunedFile:
        """The tuned settings for a request: those of its own file, or else of the suite's.

        Raises:
            DataError: the file cannot be read.
        """
        path = self.tuned if request.tuned is None else Path(request.tuned)
        return TunedFile(suite=self.name, tuned=()) if path is None else read_tuned(path)

    def contents(self) -> dict[str, list[str]]:
        return {"tasks": [entry.task for entry in self.entries]}

    def _entries(self, request: "Request") -> tuple[Entry, ...]:
        """The suite's entries, restricted or replaced by the tasks asked for."""
        if not request.tasks:
            return self.entries
        by_name = {parse(entry.task)[0]: entry for entry in reversed(self.entries)}  # the first of a name
        by_task = by_name | {entry.task: entry for entry in self.entries}
        chosen = []
        for spec in request.tasks:
            name = parse(spec)[0]
            if spec in by_task:
                chosen.append(by_task[spec])
                continue
            entry = by_name.get(name)
            if entry is None and not request.methods:
                plugins().find("tasks", name)
                raise SpecError(
                    f"suite {self.name!r} has no task {shown(name)}{did_you_mean(name, by_name)} and so no methods "
                    f"for it; name `methods`, or choose one of its tasks: {', '.join(by_name)}"
                )
            chosen.append(Entry(spec, entry.methods if entry else (), entry.epochs if entry else None))
        return tuple(chosen)


def _tasks(request: "Request", spec: str) -> list[Task]:
    tasks: list[Task] = configured("tasks", spec)
    if request.batch_size is None:
        return tasks
    return [task.changed(batch_size=request.batch_size) for task in tasks]


def _methods(request: "Request", own: list[str]) -> list[str]:
    """Canonical SPECs of the methods asked for, given the suite's own for a task."""
    sources = [source for spec in request.methods or own for source in _sources(request, spec, own)]
    return list(dict.fromkeys(method.spec for source in sources for method in configured("methods", source)))


def _sources(request: "Request", spec: str, own: Iterable[str]) -> list[str]:
    """The SPECs that one stands for: a bare name stands for the suite's own of that name, if it has any."""
    return [one for one in own if request.methods and parse(one)[0] == spec] or [spec]


def _check_cell(cell: Training) -> None:
    if cell.budget.steps is not None and (cell.budget.evaluations or 0) > cell.budget.steps:
        raise SpecError(
            f"`evaluations` {cell.budget.evaluations:,} is more than the {cell.budget.steps:,} steps of a run; "
            "lower it, or give more `steps`"
        )
    if cell.seed != 1 or not cell.fixed:
        return
    draws = [source for source in SOURCES if source != "samples" or cell.make_method().samples]
    if set(draws) <= set(cell.fixed):
        raise SpecError(
            f"{', '.join(draws)} are fixed, and nothing else is random with {cell.method!r}: its seeds in suite "
            f"{cell.suite!r} would be the same run; leave one of `fixed` out, choose other methods, or give `seeds` 1"
        )
