"""A request: what the command line asks for, and the cells that it makes."""

import os
from collections.abc import Iterable
from itertools import product
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from rbench.bounds import MAX_CELLS, check_at_once, check_count
from rbench.checked import Checked
from rbench.errors import DataError, SpecError
from rbench.experiment import AnyCell, Cell
from rbench.names import shown
from rbench.plugins import backend_specs, find_backend, plugins
from rbench.run.method_backends import left_out, on_their_backends
from rbench.run.suite import Suite
from rbench.run.tuned import Tuned, read_tuned
from rbench.train.budget import MOST_EVALUATIONS, Budget
from rbench.train.cell import Source, configured


class Request(Checked):
    """What to run; fields left out come from the suites.

    Attributes:
        suites: names of suites.
        backends: SPECs of backends.
        tasks: SPECs of tasks, in place of the suites' own. A bare name means the suite's task of that name, if any.
        methods: SPECs of methods. A bare name means the suite's settings of that method, where it has the method.
        seeds: number of seeds, from 0 on.
        points: settings that a study of sensitivity tries, per method and task; the suites' if None.
        fixed: random sources that stay as at seed 0 for every seed.
        budget: in place of the entries' own.
        evaluations: how often each run is evaluated; see `Budget`.
        batch_size: in place of the tasks' own.
        dtypes: names of dtypes; float32 if there are none, unless a suite is in another.
        devices: names of devices; the backend's default if empty.
        threads: of the numerical libraries for each cell; the suite's if None, or else all cores divided by `jobs`.
        jobs: cells at once.
        unofficial_data: take copies of data sets that are not the published ones.
        tuned: a file that `rbench tune` wrote, in place of the suites' own.
        max_cells: how many cells it may make.
        exact: cells to run as they are, as JSON, in place of all that the suites make; the other fields must then be
            left out.
    """

    suites: tuple[str, ...] = ("quick",)
    backends: tuple[str, ...] = ("numpy",)
    tasks: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: int | None = Field(None, ge=1)
    points: int | None = Field(None, ge=1)
    fixed: tuple[Source, ...] = ()
    budget: Budget | None = None
    evaluations: int | None = Field(None, ge=1, le=MOST_EVALUATIONS)
    batch_size: int | None = Field(None, ge=1)
    dtypes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    threads: int | None = Field(None, ge=1)
    jobs: int = Field(1, ge=1)
    unofficial_data: bool = False
    tuned: str | None = None
    max_cells: int = Field(MAX_CELLS, ge=1)
    exact: tuple[str, ...] = ()

    def cells(self, here: bool = True) -> list[Cell]:
        """All cells, without duplicates, in order of the suites, and within each in its order.

        A method that runs on some of the backends only has cells on those.

        Args:
            here: whether they run on this machine; otherwise it need not have the backends, and its number of cores
                does not count.

        Raises:
            PluginError, SpecError: a name or setting that does not exist, or that means nothing to a suite; a method
                that runs on none of the backends; no number of threads for other machines; several seeds between which
                nothing differs; more evaluations than steps; more cells than `max_cells`; unofficial data where no task
                reads published ones.
            BackendError: a backend that cannot run here, or lacks a dtype or device.
            DataError: a file of tuned settings that cannot be read, or has none for this request.
        """
        if self.exact:
            return self._exact_cells(here)
        if here:
            check_at_once(self.threads, self.jobs)
        dtypes = self.dtypes or ("float32",)
        platforms = list(dict.fromkeys(product(backend_specs(self.backends), dtypes, self.devices or (None,))))
        for platform in platforms:
            find_backend(*platform, here=here)
        suites = [find_suite(name) for name in dict.fromkeys(self.suites)]
        for suite in suites:
            if unused := self.unused_by(suite):
                given = ", ".join(f"`{name}`" for name in unused)
                raise SpecError(f"suite {suite.name!r} has no use for {given}: leave that out")
            if suite.dtype and (others := ", ".join(name for name in self.dtypes if name != suite.dtype)):
                raise SpecError(f"suite {suite.name!r} is in {suite.dtype} alone, not {others}: leave `dtypes` out")
        check_count(len(platforms) * sum(suite.count(self) for suite in suites), self.max_cells)
        for suite in suites:
            if not here and self.threads is None and suite.threads is None:
                raise SpecError(
                    f"suite {suite.name!r} leaves the threads of a cell to the machine, and cells are to run on "
                    "others; give `threads`, such as the cores of each"
                )
        cells = on_their_backends(dict.fromkeys(cell for suite in suites for cell in suite.cells(self, platforms)))
        check_count(len(cells), self.max_cells)  # a file of tuned settings may have added some
        if self.unofficial_data:
            _check_published(cells)
        if self.tuned is not None and not self.tuning(cells):
            has = sorted(
                {f"{one.method} on {one.task}" for one in read_tuned(Path(self.tuned)).tuned if one.score is not None}
            )
            raise DataError(f"{self.tuned} has no settings for this request; it has {'; '.join(has) or 'none'}")
        return cells

    def left_out(self, cells: Iterable[Cell]) -> list[str]:
        """A line for each method of cells that does not run on all backends of the request."""
        return [] if self.exact else left_out(cells, backend_specs(self.backends))

    def _exact_cells(self, here: bool) -> list[Cell]:
        """The cells of `exact`."""
        usual = type(self)(exact=self.exact, jobs=self.jobs, max_cells=self.max_cells)
        if given := [f"`{name}`" for name in type(self).model_fields if getattr(self, name) != getattr(usual, name)]:
            raise SpecError(f"`exact` says all of a cell: leave {', '.join(given)} out")
        cells = on_their_backends(dict.fromkeys(read_cell(text) for text in self.exact))
        check_count(len(cells), self.max_cells)
        for cell in cells:
            find_backend(cell.backend, cell.dtype, cell.device, here=here)
        return cells

    def tuning(self, cells: Iterable[Cell]) -> dict[str, Tuned]:
        """The searches that found cells' settings, by cell key; not every cell has one."""
        if self.exact:
            return {}
        suites = {name: find_suite(name) for name in self.suites}
        found = {cell.key: suites[cell.suite].tuned_by(self, cell) for cell in cells}
        return {key: one for key, one in found.items() if one is not None}

    def threads_of(self, suite: Suite) -> int:
        """Threads of the numerical libraries for a cell of a suite."""
        return self.threads or suite.threads or max(1, (os.cpu_count() or 1) // self.jobs)

    def unused_by(self, suite: Suite) -> list[str]:
        """Fields that were given but mean nothing to a suite."""
        usual = {name: field.get_default() for name, field in type(self).model_fields.items()}
        return [name for name in suite.unused if getattr(self, name) != usual[name]]


def read_cell(text: str) -> Cell:
    """The cell that JSON describes, as a record holds it.

    Raises:
        SpecError: it is no JSON, or describes no cell.
        PluginError: its experiment is not registered here.
    """
    try:
        return TypeAdapter(AnyCell).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise SpecError(
            f"{shown(text)} is no cell: {f'{place}: ' if place else ''}{first['msg']}; give a record's cell as JSON"
        ) from None


def find_suite(name: str) -> Suite:
    """The suite of a name.

    Raises:
        PluginError: there is none.
    """
    suite: Suite = plugins().find("suites", name)
    return suite


def _check_published(cells: Iterable[Cell]) -> None:
    """Raise where copies of published data are requested and no task reads published data."""
    specs = dict.fromkeys(cell.data[0] for cell in cells if cell.data is not None)
    tasks = [task for spec in specs for task in configured("tasks", spec)]
    if not any(task.published for task in tasks):
        names = ", ".join(sorted({task.name for task in tasks})) or "these suites"
        raise SpecError(f"`unofficial_data`: no published data set is read by {names}; leave it out")
