"""The experiments that measure costs: a step's time beside SGD's, a part of a step, and a step's time and memory."""

from collections.abc import Hashable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, ClassVar, Literal

from rbench.backend import Backend
from rbench.cost.benchmark import benchmarked, write_benchmarks
from rbench.cost.networks import network
from rbench.cost.timing import LOSS, PreparedStep
from rbench.errors import RbenchError, SpecError
from rbench.experiment import Cell, Limits, MemoryCell, Outcome, Report
from rbench.figures import STEP_COST, Figure, fields
from rbench.losses import get_loss
from rbench.methods import Problem
from rbench.plugins import get_backend
from rbench.train.cell import configured
from rbench.train.check import check_method, check_network
from rbench.train.memory import Peaks

CASE_FIELDS = (
    "suite", "sweep", "size", "network", "batch_size", "method", "part", "sizes", "backend", "device", "dtype",
    "threads",
)  # fmt: skip
"""What a row measures: a method's step, or a part of one; in a series, `sweep` grows to `size`."""

COST_FIELDS = (*CASE_FIELDS, "status", "reason", "rounds", *fields(STEP_COST), "memory_reason")
"""Fields of a row, in order; what does not apply is null. `rounds` is how many the seconds are the median of, and
`memory_reason` why memory figures are missing, where their measurement did not end `ok`."""


class StepCell(Cell):
    """A method's step on a network, with random data, which make no difference to its time.

    Attributes:
        network: its name, as `rbench.cost.network` takes it.
        batch_size: data per batch.
        method: canonical SPEC.
    """

    fields: ClassVar[tuple[str, ...]] = COST_FIELDS
    figures: ClassVar[tuple[Figure, ...]] = STEP_COST
    network: str
    batch_size: int
    method: str

    @property
    def names(self) -> tuple[str, ...]:
        return self.network, f"b{self.batch_size}", self.method, self.backend

    @property
    def title(self) -> str:
        return f"{self.network} batch {self.batch_size} {self.method} {self.backend} {self.dtype}"

    @property
    def specs(self) -> tuple[tuple[str, str], ...]:
        return (("methods", self.method),)

    @classmethod
    def check(cls, cells: "Sequence[StepCell]", *, here: bool) -> None:
        for name, batch, spec in dict.fromkeys((cell.network, cell.batch_size, cell.method) for cell in cells):
            net, shape = network(name)
            if here:
                check_network(f"{name} with batches of {batch:,}", net, 4 * batch * prod(shape))
            (method,) = configured("methods", spec)
            try:
                check_method(method, Problem(get_backend("numpy"), net, get_loss(LOSS)), here=here)
                method.check_batch(batch)
            except RbenchError as error:
                raise SpecError(f"{spec} on {name}: {error}; name other `methods`") from None

    def prepared(self, backend: Backend) -> PreparedStep:
        """The step, ready to run."""
        return PreparedStep(backend, self.network, self.batch_size, self.method)


class StepTime(StepCell):
    """Seconds of a method's step, and its ratio to a step of SGD timed in turn, measured by pytest-benchmark."""

    summary: ClassVar[str] = "seconds of a method's step over SGD's, by pytest-benchmark"
    libraries: ClassVar[tuple[str, ...]] = ("pytest-benchmark",)
    experiment: Literal["step-time"] = "step-time"
    benchmarks: str = "rbench.cost.step_time_benchmarks"

    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        benchmarked(self, self.benchmarks, outcome)

    def words(self, figures: Mapping[str, Any]) -> str:
        return f"{1e3 * figures['step_seconds']:.3g} ms, {figures['step_ratio_to_sgd']:.2f} × sgd"

    @classmethod
    def publish(cls, directory: Path, records: Sequence[Any]) -> None:
        write_benchmarks(directory, records)


class PartTime(Cell):
    """Seconds of a part of a step, measured by pytest-benchmark.

    Attributes:
        part: one of `rbench.cost.PARTS`.
    """

    summary: ClassVar[str] = "seconds of a part of a step, by pytest-benchmark"
    fields: ClassVar[tuple[str, ...]] = COST_FIELDS
    figures: ClassVar[tuple[Figure, ...]] = STEP_COST
    libraries: ClassVar[tuple[str, ...]] = ("pytest-benchmark",)
    experiment: Literal["part-time"] = "part-time"
    part: str
    benchmarks: str = "rbench.cost.step_time_benchmarks"

    @property
    def names(self) -> tuple[str, ...]:
        return self.part, self.backend

    @property
    def title(self) -> str:
        return f"{self.part} {self.backend} {self.dtype}"

    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        benchmarked(self, self.benchmarks, outcome)

    def words(self, figures: Mapping[str, Any]) -> str:
        return f"{1e3 * figures['step_seconds']:.3g} ms"

    @classmethod
    def publish(cls, directory: Path, records: Sequence[Any]) -> None:
        write_benchmarks(directory, records, "-parts")


class StepCost(StepCell, MemoryCell):
    """Seconds and memory of a method's step, each measured in its own process.

    Attributes:
        sweep: what grows within a series, as in `rbench.cost.Sweep`; None outside a series.
        most_seconds: a series ends after a step that takes longer.
    """

    summary: ClassVar[str] = "seconds and memory of a method's step"
    longest_seconds: ClassVar[float | None] = 1800.0
    experiment: Literal["step-cost"] = "step-cost"
    sweep: str | None = None
    most_seconds: float | None = None

    @property
    def size(self) -> int | None:
        """The size of what grows."""
        if self.sweep is None:
            return None
        net, shape = network(self.network)
        ((outputs,),) = net.out_space((shape,))  # type: ignore[misc]
        parameters = sum(layer.n_parameters for layer in net.layers)
        sizes = {"n": parameters, "d": outputs or 0, "batch": self.batch_size, "depth": len(net.layers)}
        return sizes[self.sweep]

    @property
    def title(self) -> str:
        return (f"{self.sweep} = {self.size:,}: " if self.sweep else "") + super().title

    @property
    def series(self) -> Hashable:
        return None if self.sweep is None else (self.sweep, self.method, self.backend, self.dtype, self.device)

    def end_of_series(self, status: str, reason: str | None, figures: Mapping[str, Any]) -> str | None:
        if status != "ok":
            return f"{self.sweep} = {self.size:,} has no figure: {reason}"
        if self.most_seconds is not None and figures["step_seconds"] > self.most_seconds:
            took = f"{figures['step_seconds']:.1f} s per step, above the bound of {self.most_seconds:g} s"
            return f"{self.sweep} = {self.size:,} took {took}"
        return None

    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        prepared = self.prepared(backend)
        outcome.figures |= prepared.counted() | prepared.seconds()

    def peaks(self, backend: Backend) -> Peaks:
        return self.prepared(backend).peaks()

    def row(self, figures: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        return super().row(figures, history) | {"size": self.size}

    def words(self, figures: Mapping[str, Any]) -> str:
        peak = figures.get("peak_host_bytes")
        return f"{1e3 * figures['step_seconds']:.3g} ms" + ("" if peak is None else f", {peak / 2**20:.3g} MiB")
