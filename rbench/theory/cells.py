"""The experiment `action`: how far an integrator's path is from the one of least action, and how fast that falls."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from rbench.backend import Backend
from rbench.errors import SpecError
from rbench.experiment import Cell, Limits, Outcome, Report
from rbench.figures import RATIO, Figure, fields
from rbench.losses import get_loss
from rbench.metrics import get_output_metric
from rbench.modules import Linear, Tanh
from rbench.names import unknown
from rbench.random import generator
from rbench.run.suite import Platform, Suite
from rbench.spec import Configurable, parse
from rbench.theory import flow
from rbench.theory.action import euler_constants, excess
from rbench.theory.path import SCHEMES, Scheme, integrate

if TYPE_CHECKING:
    from rbench.run.request import Request

FIGURES = (
    Figure("gap", "result", "gap", exact=True, compared="always"),
    Figure("gap_order", "result", "order of gap", RATIO, better=None, exact=True),
    Figure("gap_over_predicted", "result", "gap / predicted", RATIO, better=None, exact=True),
    Figure("speed_gap", "result", "speed gap", exact=True),
    Figure("direction_gap", "result", "direction gap", exact=True),
    Figure("hamiltonian", "result", "max |H|", exact=True, compared="always"),
    Figure("hamiltonian_order", "result", "order of |H|", RATIO, better=None, exact=True),
    Figure("hamiltonian_over_predicted", "result", "|H| / predicted", RATIO, better=None, exact=True),
)
"""Figures of a path:

- `gap` S − |ΔE|, of which `speed_gap` is due to timing and `direction_gap` to its course;
- `hamiltonian` the largest |H|;
- orders: log₂ of the ratio to the path with half as many segments;
- over predicted: Euler's, to the leading term of the gap and of |H|.
"""

FIELDS = (
    "suite", "task", "method", "segments", "seed", "backend", "device", "dtype", "threads", "status", "reason",
    *fields(FIGURES),
)  # fmt: skip


class TanhFlow(Configurable):
    """The flow of a 3-6-2 tanh network on 12 random data.

    Attributes:
        loss: `squared_error` or `cross_entropy`.
        metric: name of an output metric without samples; `none` for the mass alone, a constant metric.
        mass: M.
        ascent: whether the path climbs, for a time of 0.5 in place of 2: it leaves every bound in finite time.
    """

    name: ClassVar[str] = "tanh"
    summary: ClassVar[str] = "the flow of a 3-6-2 tanh network on 12 data"
    always: ClassVar[tuple[str, ...]] = ("loss", "metric")
    loss: Literal["squared_error", "cross_entropy"] = "squared_error"
    metric: str | None = "ggn"
    mass: float = Field(0.1, gt=0)
    ascent: bool = False

    @model_validator(mode="after")
    def _metric_is_smooth_and_goes_with_the_loss(self) -> "TanhFlow":
        if self.metric is not None:
            metric = get_output_metric(self.metric)
            metric.check(get_loss(self.loss))
            if metric.samples:
                raise ValueError(
                    f"metric={self.metric} draws samples anew at every point, so no flow has it; name another"
                )
        return self

    @property
    def sign(self) -> float:
        """1 where the path climbs, −1 where it falls."""
        return 1.0 if self.ascent else -1.0

    @property
    def seconds(self) -> float:
        """The path's time."""
        return 0.5 if self.ascent else 2.0

    def data(self) -> tuple[Any, Any]:
        """Inputs and targets, the same for every seed."""
        random = generator(0, "data")
        x = random.normal(size=(12, 3))
        return x, random.normal(size=(12, 2)) if self.loss == "squared_error" else random.integers(0, 2, 12)

    def field(self, backend: Backend) -> flow.Field:
        """The loss and the metric."""
        metric = None if self.metric is None else get_output_metric(self.metric)
        return flow.network_field(backend, self.network, self.loss, metric, self.mass, *self.data())

    @property
    def network(self) -> Any:
        """The network."""
        return Linear(3, 6) >> Tanh() >> Linear(6, 2)


class Action(Cell):
    """The excess action of one path.

    Attributes:
        task: SPEC of a flow.
        method: an integrator.
        segments: N, of the path.
        seed: of the weights that it begins at.
    """

    summary: ClassVar[str] = "the action of an integrator's path, beyond the fall of the loss"
    fields: ClassVar[tuple[str, ...]] = FIELDS
    figures: ClassVar[tuple[Figure, ...]] = FIGURES
    experiment: Literal["action"] = "action"
    task: str
    method: Scheme
    segments: int = Field(ge=2)
    seed: int = Field(0, ge=0)

    @property
    def names(self) -> tuple[str, ...]:
        return self.task, self.method, f"n{self.segments}", self.backend, f"s{self.seed}"

    @property
    def title(self) -> str:
        return f"{self.task} {self.method} {self.segments} segments {self.backend} seed {self.seed}"

    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        task = flows(self.task)[0]
        field = task.field(backend)
        start = flow.flat(backend, task.network.init(backend, self.seed))
        paths = [
            integrate(lambda w: task.sign * field(w).velocity, start, task.seconds / count, count, self.method)
            for count in (self.segments // 2, self.segments)
        ]
        coarse, fine = (excess(field, path, task.sign) for path in paths)
        outcome.figures |= {
            "gap": fine.gap,
            "gap_order": math.log2(coarse.gap / fine.gap),
            "speed_gap": fine.speed,
            "direction_gap": fine.direction,
            "hamiltonian": fine.hamiltonian,
            "hamiltonian_order": math.log2(coarse.hamiltonian / fine.hamiltonian),
        }
        if self.method == "euler":
            of_gap, of_h = euler_constants(field, paths[1])
            outcome.figures |= {
                "gap_over_predicted": fine.gap / (of_gap * paths[1].h ** 2),
                "hamiltonian_over_predicted": fine.hamiltonian / (of_h * paths[1].h),
            }

    def words(self, figures: Mapping[str, Any]) -> str:
        return f"gap {figures['gap']:.2e}, order {figures['gap_order']:.2f}"


def flows(spec: str) -> list[TanhFlow]:
    """The flows that a SPEC names: several where it lists values.

    Raises:
        SpecError: there is none of that name, or a setting does not exist.
    """
    name, settings = parse(spec)
    if name != TanhFlow.name:
        raise SpecError(unknown("flow", name, [TanhFlow.name]))
    return TanhFlow.expand(settings)


@dataclass(frozen=True)
class ActionSuite(Suite):
    """Paths of integrators along flows, in float64 whatever `dtype` says.

    Attributes:
        tasks: SPECs of flows.
        segments: N, of the paths.
    """

    unused: ClassVar[tuple[str, ...]] = (
        "fixed", "budget", "evaluations", "batch_size", "unofficial_data", "tuned",
    )  # fmt: skip
    name: str
    summary: str
    tasks: tuple[str, ...]
    segments: tuple[int, ...] = (20, 40, 80)
    threads: int | None = 1

    def count(self, request: "Request") -> int:
        tasks = sum(len(flows(spec)) for spec in request.tasks or self.tasks)
        return tasks * len(self._methods(request)) * len(self.segments) * (request.seeds or 1)

    def cells(self, request: "Request", platforms: Sequence[Platform]) -> list[Cell]:
        tasks = [task.spec for spec in request.tasks or self.tasks for task in flows(spec)]
        seeds = range(request.seeds or 1)
        every = product(tasks, self._methods(request), self.segments, seeds, platforms)
        return [
            Action(
                suite=self.name,
                task=task,
                method=method,
                segments=segments,
                seed=seed,
                backend=backend,
                dtype="float64",
                device=device,
                threads=request.threads_of(self),
            )
            for task, method, segments, seed, (backend, _, device) in every
        ]

    def contents(self) -> dict[str, list[str]]:
        return {"tasks": list(self.tasks), "methods": list(SCHEMES)}

    def _methods(self, request: "Request") -> tuple[str, ...]:
        for method in request.methods:
            if method not in SCHEMES:
                raise SpecError(f"suite {self.name!r}: {unknown('integrator', method, SCHEMES)}")
        return request.methods or SCHEMES
