"""A request: what the command line asks for, and the cells that it makes."""

import os
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

from pydantic import Field

from rbench.checked import Checked
from rbench.errors import DataError, SpecError
from rbench.names import did_you_mean, shown
from rbench.plugins import backend_specs, find_backend, plugins
from rbench.run.bounds import MAX_CELLS, check_at_once, check_count
from rbench.run.suite import CostSuite, Entry, Suite
from rbench.run.tuned import Tuned, TunedFile, read_tuned
from rbench.spec import parse
from rbench.tasks.base import Task
from rbench.train.cell import MOST_EVALUATIONS, SOURCES, Budget, Cell, Source, configured, count, tasks_of


class Request(Checked):
    """What to run; what is left out comes from the suites.

    Attributes:
        suites: names of suites.
        backends: SPECs of backends.
        tasks: SPECs of tasks, in place of the suites' own. A bare name means the suite's task of that name, if any.
        methods: SPECs of methods. A bare name means the suite's settings of that method, where it has the method.
        seeds: number of seeds, from 0 on.
        fixed: what is random, and yet as at seed 0 at every seed.
        budget: in place of the entries' own.
        evaluations: how often each run is evaluated; see `Budget`.
        batch_size: in place of the tasks' own.
        dtypes: names of dtypes.
        devices: names of devices; the backend's default if empty.
        threads: of the numerical libraries for each cell; the suite's if None, or else all cores over `jobs`.
        jobs: cells at once.
        unofficial_data: take copies of data sets that are not the published ones.
        tuned: a file that `rbench tune` wrote, in place of the suites' own.
        max_cells: how many cells it may make.
    """

    suites: tuple[str, ...] = ("quick",)
    backends: tuple[str, ...] = ("numpy",)
    tasks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: int | None = Field(None, ge=1)
    fixed: tuple[Source, ...] = ()
    budget: Budget | None = None
    evaluations: int | None = Field(None, ge=1, le=MOST_EVALUATIONS)
    batch_size: int | None = Field(None, ge=1)
    dtypes: tuple[str, ...] = ("float32",)
    devices: tuple[str, ...] = ()
    threads: int | None = Field(None, ge=1)
    jobs: int = Field(1, ge=1)
    unofficial_data: bool = False
    tuned: str | None = None
    max_cells: int = Field(MAX_CELLS, ge=1)

    def cells(self, here: bool = True) -> list[Cell]:
        """All cells, without duplicates, in order of suite, task, method, backend, dtype, device, seed.

        Args:
            here: whether they run on this machine; otherwise a backend need not be installed on it, and its number of
                cores does not count.

        Raises:
            PluginError, SpecError: a name or setting that does not exist, or a suite that measures costs; no number of
                threads for other machines; several seeds of which nothing is left to differ; more evaluations than
                steps; more cells than `max_cells`; unofficial data where no task reads published ones.
            BackendError: a backend that cannot run here, or lacks a dtype or device.
            DataError: a file of tuned settings that cannot be read, or has none for what is asked.
        """
        if here:
            check_at_once(self.threads, self.jobs)
        places = list(dict.fromkeys(product(backend_specs(self.backends), self.dtypes, self.devices or (None,))))
        for place in places:
            find_backend(*place, here=here)
        suites = [_find(name) for name in dict.fromkeys(self.suites)]
        entries = [(suite, entry) for suite in suites for entry in self._entries(suite)]
        check_count(len(places) * sum(self._count(*one) for one in entries), self.max_cells)
        for suite in suites:
            if not here and self.threads is None and suite.threads is None:
                raise SpecError(
                    f"suite {suite.name!r} leaves the threads of a cell to the machine, and cells are to run on "
                    "others; give --threads, such as the cores of each"
                )
        cells = list(dict.fromkeys(cell for one in entries for cell in self._entry_cells(*one, places)))
        check_count(len(cells), self.max_cells)  # a file of tuned settings may have added some
        for cell in cells:
            _check_cell(cell)
        tasks = tasks_of(cells).values() if self.unofficial_data else ()
        if tasks and not any(task.published for task in tasks):
            names = ", ".join(sorted({task.name for task in tasks}))
            raise SpecError(
                f"--unofficial-data: no published data set, of which there could be another copy, is read by {names}; "
                "leave it out"
            )
        if self.tuned is not None and not self.tuning(cells):
            has = sorted(
                {f"{one.method} on {one.task}" for one in read_tuned(Path(self.tuned)).tuned if one.score is not None}
            )
            raise DataError(f"{self.tuned} has no settings for this request; it has {'; '.join(has) or 'none'}")
        return cells

    def tuning(self, cells: Iterable[Cell]) -> dict[str, Tuned]:
        """The searches that cells have their settings from, by the cells' keys; not all have one."""
        files = {name: self._tuned(_find(name)) for name in self.suites}
        found = {cell.key: files[cell.suite].found(cell.task).get(cell.method) for cell in cells}
        return {key: one for key, one in found.items() if one is not None}

    def _tuned(self, suite: Suite) -> TunedFile:
        path = suite.tuned if self.tuned is None else Path(self.tuned)
        return TunedFile(suite=suite.name, tuned=()) if path is None else read_tuned(path)

    def _entries(self, suite: Suite) -> tuple[Entry, ...]:
        """The suite's entries, restricted or replaced by the tasks asked for."""
        if not self.tasks:
            return suite.entries
        by_task = {parse(entry.task)[0]: entry for entry in suite.entries}
        chosen = []
        for spec in self.tasks:
            entry = by_task.get(parse(spec)[0])
            if entry is not None and spec == parse(spec)[0]:
                chosen.append(entry)
                continue
            if entry is None and not self.methods:
                name = parse(spec)[0]
                plugins().find("tasks", name)
                raise SpecError(
                    f"suite {suite.name!r} has no task {shown(name)}{did_you_mean(name, by_task)} and so no methods "
                    f"for it; name them with --method, or choose one of its tasks: {', '.join(by_task)}"
                )
            chosen.append(Entry(spec, entry.methods if entry else (), entry.epochs if entry else None))
        return tuple(chosen)

    def _count(self, suite: Suite, entry: Entry) -> int:
        """How many cells an entry makes at each place, before any is made; but for methods that tuned settings add."""
        methods = [source for spec in self.methods or entry.methods for source in self._sources(spec, entry.methods)]
        return count("tasks", entry.task) * sum(count("methods", one) for one in methods) * self._seeds(suite)

    def _seeds(self, suite: Suite) -> int:
        return self.seeds or suite.seeds

    def _entry_cells(self, suite: Suite, entry: Entry, places: Sequence[tuple[str, str, str | None]]) -> list[Cell]:
        cells = []
        tuned = self._tuned(suite)
        threads = self.threads or suite.threads or max(1, (os.cpu_count() or 1) // self.jobs)
        for task in self._tasks(entry.task):
            budget = self.budget or Budget(epochs=entry.epochs or task.epochs)
            if self.evaluations is not None:
                budget = budget.evaluated(self.evaluations)
            methods = self._methods(tuned.applied(task.spec, entry.methods))
            for method, place, seed in product(methods, places, range(self._seeds(suite))):
                backend, dtype, device = place
                cells.append(
                    Cell(
                        suite=suite.name,
                        task=task.spec,
                        method=method,
                        backend=backend,
                        device=device,
                        dtype=dtype,
                        seed=seed,
                        fixed=self.fixed,
                        budget=budget,
                        threads=threads,
                        unofficial_data=self.unofficial_data,
                    )
                )
        return cells

    def _tasks(self, spec: str) -> list[Task]:
        tasks: list[Task] = configured("tasks", spec)
        if self.batch_size is None:
            return tasks
        return [task.changed(batch_size=self.batch_size) for task in tasks]

    def _methods(self, own: list[str]) -> list[str]:
        """Canonical SPECs of the methods asked for, given the suite's own for a task."""
        sources = [source for spec in self.methods or own for source in self._sources(spec, own)]
        return list(dict.fromkeys(method.spec for source in sources for method in configured("methods", source)))

    def _sources(self, spec: str, own: Iterable[str]) -> list[str]:
        """What a SPEC of a method means: the suite's own of that name where it is bare and the suite has any."""
        return [one for one in own if self.methods and parse(one)[0] == spec] or [spec]


def _check_cell(cell: Cell) -> None:
    if cell.budget.steps is not None and (cell.budget.evaluations or 0) > cell.budget.steps:
        raise SpecError(
            f"--evaluations {cell.budget.evaluations:,} is more than the {cell.budget.steps:,} steps of a run; "
            "lower it, or give more --steps"
        )
    if cell.seed != 1 or not cell.fixed:
        return
    draws = [source for source in SOURCES if source != "samples" or cell.make_method().samples]
    if set(draws) <= set(cell.fixed):
        raise SpecError(
            f"{', '.join(draws)} are fixed, and nothing else is random with {cell.method!r}: its seeds in suite "
            f"{cell.suite!r} would be one and the same run; leave a --fix out, choose other methods, or give --seeds 1"
        )


def _find(name: str) -> Suite:
    suite: Suite | CostSuite = plugins().find("suites", name)
    if isinstance(suite, CostSuite):
        raise SpecError(f"suite {name!r} measures costs and trains nothing; run it in a command of its own")
    return suite
