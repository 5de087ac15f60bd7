"""Suites that measure costs: of methods' steps on networks, and of parts of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar

from rbench.cost.benchmark import check_installed
from rbench.cost.cells import PartTime, StepCost, StepTime
from rbench.cost.networks import network
from rbench.cost.parts import PARTS
from rbench.errors import SpecError
from rbench.experiment import Cell
from rbench.names import unknown
from rbench.run.suite import Platform, Suite
from rbench.spec import parse
from rbench.train.cell import configured, count

if TYPE_CHECKING:
    from rbench.run.request import Request


@dataclass(frozen=True)
class Sweep:
    """Steps while one size grows.

    Attributes:
        size: what grows: `n`, the parameters; `d`, the outputs; `batch`; or `depth`, the layers.
        networks: names of networks, as `rbench.cost.network` takes them, smallest first.
        batch_sizes: data per batch, smallest first.
    """

    size: str
    networks: tuple[str, ...]
    batch_sizes: tuple[int, ...]


@dataclass(frozen=True)
class CostSuite(Suite):
    """A suite that measures steps, and trains nothing. A request's tasks name networks or sweeps.

    Attributes:
        methods: SPECs of the methods.
        networks: names of networks, as `rbench.cost.network` takes them.
        batch_sizes: data per batch.
        sweeps: used in place of networks and batch sizes.
        parts: names of parts of a step, measured where a request names neither networks nor methods.
        benchmarks: the module of pytest-benchmark tests that measures; `rbench.cost.step_time_benchmarks` is one. Where
            it is empty, each step's time and memory are measured in processes of their own.
        most_seconds: a sweep ends after a step that takes longer.
    """

    unused: ClassVar[tuple[str, ...]] = (
        "seeds", "points", "fixed", "budget", "evaluations", "unofficial_data", "tuned",
    )  # fmt: skip
    name: str
    summary: str
    methods: tuple[str, ...]
    networks: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    parts: tuple[str, ...] = ()
    benchmarks: str = ""
    most_seconds: float = 5.0
    threads: int | None = None

    def count(self, request: "Request") -> int:
        sizes = sum(len(sweep.networks) * len(sweep.batch_sizes) for sweep in self._sweeps(request))
        sizes = sizes or len(request.tasks or self.networks) * len(self.batch_sizes)
        return sizes * sum(count("methods", spec) for spec in self._methods(request)) + len(self._parts(request))

    def cells(self, request: "Request", platforms: Sequence[Platform]) -> list[Cell]:
        """The cells, as `Suite.cells` says.

        Raises:
            PluginError, SpecError: a name or setting that does not exist.
            RbenchError: pytest-benchmark is needed, and not installed.
        """
        if self.benchmarks:
            check_installed()
        steps = self._steps(request)
        for name in dict.fromkeys(step["network"] for step in steps):
            network(name)
        kind = StepTime if self.benchmarks else StepCost
        own = {"suite": self.name, "threads": request.threads_of(self)}
        own |= {"benchmarks": self.benchmarks} if self.benchmarks else {}
        cells: list[Cell] = []
        for backend, dtype, device in platforms:
            where = {"backend": backend, "dtype": dtype, "device": device}
            cells += [kind(**step, **own, **where) for step in steps]
            cells += [PartTime(part=part, **own, **where) for part in self._parts(request)]
        return cells

    def contents(self) -> dict[str, list[str]]:
        return {"networks": list(self.networks)}

    def _steps(self, request: "Request") -> list[dict[str, Any]]:
        """What is measured, in order: networks, batch sizes and methods, and what grows in a sweep."""
        methods = [method.spec for spec in self._methods(request) for method in configured("methods", spec)]
        batches = (request.batch_size,) if request.batch_size else ()
        if not self.sweeps:
            every = product(request.tasks or self.networks, batches or self.batch_sizes, methods)
            return [{"network": name, "batch_size": batch, "method": method} for name, batch, method in every]
        return [
            {"network": name, "batch_size": batch, "method": method}
            | {"sweep": sweep.size, "most_seconds": self.most_seconds}
            for sweep in self._sweeps(request)
            for method, name, batch in product(methods, sweep.networks, batches or sweep.batch_sizes)
        ]

    def _sweeps(self, request: "Request") -> list[Sweep]:
        """The suite's sweeps, or those named in place of networks."""
        by_size = {sweep.size: sweep for sweep in self.sweeps}
        if not by_size:
            return []
        if missing := [name for name in request.tasks if name not in by_size]:
            raise SpecError(f"suite {self.name!r}: {unknown('sweep', missing[0], by_size)}")
        return [by_size[name] for name in request.tasks or by_size]

    def _methods(self, request: "Request") -> list[str]:
        own = {spec: [s for s in self.methods if parse(s)[0] == spec] for spec in request.methods}
        return [source for spec in request.methods for source in own[spec] or [spec]] or list(self.methods)

    def _parts(self, request: "Request") -> tuple[str, ...]:
        if request.tasks or request.methods:
            return ()
        if missing := sorted(set(self.parts) - set(PARTS)):
            raise SpecError(f"suite {self.name!r}: {unknown('part of a step', missing[0], PARTS)}")
        return self.parts
