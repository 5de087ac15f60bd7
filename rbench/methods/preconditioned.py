"""The common part of methods that solve with the layer metric M + VᵀV."""

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property, reduce
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from rbench.backend import Array, Backend
from rbench.checks import outputs
from rbench.errors import SpecError
from rbench.methods.base import Scalars, State, Step
from rbench.methods.descent import Descent, clip_step
from rbench.methods.operations import EIGEN, gradient_operations, layer_works, pass_operations
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Mass, OutputMetric, get_output_metric, layer_masses
from rbench.metrics.pullback import Batch, Problem, pull_gradient, pull_metric
from rbench.modules import LayerPullback, Params, Weights
from rbench.modules.space import Space, space_of
from rbench.random import generator
from rbench.solvers import Direction, Factored, Form, LayerSize, Update, choose_form, gathered


class Preconditioned(Descent):
    """Descent along Δ_l = (M_l + V_lᵀ V_l)⁻¹ g_l (eqs. 2-3 of arXiv 2603.03610).

    Attributes:
        output_metric: name of an output metric, as `rbench list output_metrics` shows them; or a matrix.
        rank: samples per datum, for a metric that draws them: its rows.
        mass: M; a float, or one entry per layer as `rbench.riemannian_gradient` takes them.
        batch: `stack` or `mean`.
        workspace_mb: 2²⁰ bytes that a layer's solve may take beyond its rows, where another way takes less.
        kl_clip: c, by which Δ is scaled before momentum so that η² gᵀΔ ≤ c; None for no clip.
        metric_batch: m: the metric is that of the first m data of a batch (of all if there are fewer, which a run
            refuses), the gradient that of all. None for all.
        refresh: steps between two computations of the metric, which is kept in between; every step has a gradient of
            its own.
    """

    always: ClassVar[tuple[str, ...]] = ("output_metric", "lr", "mass")
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-3, 1),
        "mass": LogUniform(1e-4, 10),
        "kl_clip": Choice(None, 0.001, 0.01),
    }
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    output_metric: str | tuple[tuple[float, ...], ...] = "ggn_mc"
    rank: int = Field(1, ge=1)
    mass: float | tuple[Any, ...] = 0.1
    batch: Literal["stack", "mean"] = "stack"
    kl_clip: float | None = Field(None, gt=0)
    workspace_mb: float = Field(1024, gt=0)
    metric_batch: int | None = Field(None, ge=1)
    refresh: int = Field(1, ge=1)

    @field_validator("output_metric")
    @classmethod
    def _output_metric_is_registered(cls, metric: Any) -> Any:
        if isinstance(metric, str):
            get_output_metric(metric)
        return metric

    @field_validator("mass")
    @classmethod
    def _mass_is_positive(cls, mass: Any) -> Any:
        if isinstance(mass, float) and not 0 < mass < float("inf"):
            raise ValueError("mass must be positive and finite: it is what makes the metric invertible")
        return mass

    @property
    @abstractmethod
    def solver_name(self) -> str:
        """Which solver serves the layers."""

    @cached_property
    def metric(self) -> OutputMetric:
        """The output metric itself."""
        return get_output_metric(self.output_metric, self.rank)

    @property
    def samples(self) -> int:
        return self.metric.samples

    def samples_in(self, phase: Hashable) -> int:
        return self.samples if phase else 0

    def phase(self, step: int) -> Hashable:
        return step % self.refresh == 0

    def check(self, problem: Problem) -> None:
        self.metric.check(problem.loss)
        layer_masses(problem.backend, problem.net.layers, self.mass)

    def check_batch(self, size: int) -> None:
        if self.metric_batch is not None and self.metric_batch > size:
            raise SpecError(
                f"metric_batch={self.metric_batch} is more than the {size} data of a batch; lower it, or leave it out "
                "for the metric of all of them"
            )

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        plan = self._plan(problem, space_of(datum.x), batch_size)
        data = self.metric_data(batch_size)
        rows = 0.0
        for form, size in plan:
            per_position = data * size.rank + batch_size  # the gradient's rows included
            rows += per_position * size.points // data * size.fan_out
            if self.refresh > 1:
                rows += form.cost(size).kept
        numbers = [form.cost(size).numbers for form, size in plan]
        worst = numbers.index(max(numbers))
        form, size = plan[worst]
        words = f"solver {form.name!r} at layer {worst} with n = {size.n:,} numbers and {size.rows:,} rows"
        return problem.backend.itemsize * (numbers[worst] + rows), words

    def metric_data(self, batch_size: int) -> int:
        """m, the number of data whose metric is taken."""
        return min(batch_size, self.metric_batch or batch_size)

    def sizes(self, problem: Problem, d: int, positions: Sequence[int], batch_size: int) -> list[LayerSize]:
        """The sizes of every layer's metric, given the network's outputs and every layer's positions."""
        data = self.metric_data(batch_size)
        rank = self.metric.rank(problem.loss, d)
        layers = list(zip(problem.net.layers, positions, strict=True))
        if self.batch == "mean":
            rank = min(rank * data, d)
            return [
                LayerSize(1, data * count, rank, layer.fan_in, layer.fan_out, layer.bias) for layer, count in layers
            ]
        return [
            LayerSize(data, count, rank, layer.fan_in, layer.fan_out, layer.bias, self.metric.rescales)
            for layer, count in layers
        ]

    def _form(self, backend: Backend, size: LayerSize, mass: Mass) -> Form:
        return choose_form(self.solver_name, backend, size, mass, self.workspace_mb * 2**20)

    def _plan(self, problem: Problem, space: Space, batch_size: int) -> list[tuple[Form, LayerSize]]:
        """Every layer's form and sizes, for inputs of these shapes."""
        positions = [work.positions for work in layer_works(problem.net, space)]
        sizes = self.sizes(problem, outputs(problem.net, space), positions, batch_size)
        masses = layer_masses(problem.backend, problem.net.layers, self.mass)
        return [(self._form(problem.backend, *pair), pair[0]) for pair in zip(sizes, masses, strict=True)]

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step: forward, the pullback of the gradient's and the metric's rows, and a solve per layer.

        V's rows are pulled back with the gradient's: rank rows per datum, none where they are rescaled rows of the
        gradient, and d with `batch=mean`. With `metric_batch` or `refresh` only the metric's data have them, at every
        `refresh`-th step, when the metric is factored; every step then has weight products and solves with that.
        """
        works = layer_works(problem.net, space)
        plan = self._plan(problem, space, batch)
        costs = [form.cost(size) for form, size in plan]
        data = self.metric_data(batch)
        d = outputs(problem.net, space)
        drawn = self.metric.rank(problem.loss, d) * data
        _, first = plan[0]
        rows = 0 if first.rescaled else first.rank
        metric = 1.0 * data * sum(work.pulled for work in works) * rows
        if self.batch == "mean" and drawn > d:
            metric += drawn * d**2 / 2 + EIGEN * d**3
        if self.refresh == 1 and data == batch:
            return pass_operations(works, batch, 1) + metric + sum(cost.operations for cost in costs)
        metric += sum(cost.factoring for cost in costs)
        return gradient_operations(works, batch) + metric / self.refresh + sum(cost.applying for cost in costs)

    def init(self, problem: Problem, params: Params) -> State:
        return super().init(problem, params), ()

    def start(self, problem: Problem, params: Params, batch: Batch) -> State:
        velocity, kept = self.init(problem, params)
        if self.refresh > 1:
            backend = problem.backend
            if self.samples:
                d = outputs(problem.net, space_of(batch.x))
                draws = problem.loss.noise(generator(0, "samples"), batch.y.shape[0], self.samples, d)
                batch = batch._replace(noise=backend.asarray(draws))
            factor = backend.compile(lambda params, batch: self._solve(problem, params, batch, (), renew=True)[2])
            kept = factor(params, batch)
        return velocity, kept

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        velocity, kept = state
        lr = scalars["lr"]
        loss, update, kept = self._solve(problem, params, batch, kept, renew=bool(phase))
        direction = update.blocks
        if self.kl_clip is not None:
            direction = clip_step(problem, direction, update.slope(), lr, self.kl_clip)
        params, velocity = self.descend(problem.backend, params, velocity, direction, lr)
        return Step(params, (velocity, kept), loss, update.health)

    def _solve(
        self, problem: Problem, params: Params, batch: Batch, kept: tuple[Factored, ...], *, renew: bool
    ) -> tuple[Array, Update, tuple[Factored, ...]]:
        """Mean loss, directions, and the kept metrics, which may be those of fewer or earlier data."""
        count = batch.y.shape[0]
        loss, pulled = self._pull(problem, params, batch, renew=renew)
        layers = pulled[0]
        if renew:
            sizes = [LayerSize.of(layer) for layer in layers]
        else:
            positions = [layer.source.shape[1] for layer in layers]
            sizes = self.sizes(problem, outputs(problem.net, space_of(batch.x)), positions, count)
        masses = layer_masses(problem.backend, problem.net.layers, self.mass)
        solved = []
        for index, (size, mass) in enumerate(zip(sizes, masses, strict=True)):
            form = self._form(problem.backend, size, mass)
            parts = [part[index] for part in pulled]
            solved.append(self._solve_layer(form, parts, mass, None if renew else kept[index]))
        metrics = tuple(metric for _, metric in solved if metric is not None)
        return loss, gathered(problem.backend, problem.net.layers, [direction for direction, _ in solved]), metrics

    def _pull(
        self, problem: Problem, params: Params, batch: Batch, *, renew: bool
    ) -> tuple[Array, list[list[LayerPullback]]]:
        """Mean loss, and pullbacks to every layer: of the metric's data, where it is due; and of all other data."""
        count = batch.y.shape[0]
        of_metric, rest = _split(batch, self.metric_data(count) if renew else 0)
        parts: list[tuple[Array, list[LayerPullback]]] = []
        if of_metric is not None:
            parts.append(pull_metric(problem, params, of_metric, self.metric, self.batch, count))
        if rest is not None:
            parts.append(pull_gradient(problem, params, rest, count))
        loss = parts[0][0]
        if of_metric is not None and rest is not None:
            loss = of_metric.y.shape[0] / count * loss + rest.y.shape[0] / count * parts[1][0]
        return loss, [layers for _, layers in parts]

    def _solve_layer(
        self, form: Form, parts: list[LayerPullback], mass: Mass, kept: Factored | None
    ) -> tuple[Direction, Factored | None]:
        """The direction of a layer, and its metric if that is kept; no other array of the layer outlives the call."""
        layer = parts[0]
        backend = layer.backend
        if len(parts) == 1 and self.refresh == 1:
            return form.direction(backend, layer, mass), None
        gradient = reduce(_add, [part.gradient() for part in parts])
        source = layer.source
        if kept is None:
            kept = form.factor(backend, layer, mass)
        elif self.batch == "mean":
            source = source.one_example(backend)
        return form.solve(backend, kept, source, mass, gradient), kept if self.refresh > 1 else None


def _split(batch: Batch, size: int) -> tuple[Batch | None, Batch | None]:
    """The first data of a batch with their noise, and the others without noise; None for an empty part."""
    if size in (0, batch.y.shape[0]):
        return (batch, None) if size else (None, batch)

    def part(array: Any, data: slice) -> Any:
        if isinstance(array, tuple):
            return tuple(part(wire, data) for wire in array)
        return None if array is None else array[(data, *[slice(None)] * (array.ndim - 1))]

    first = slice(0, size)
    rest = slice(size, None)
    return Batch(*(part(array, first) for array in batch)), Batch(part(batch.x, rest), part(batch.y, rest))


def _add(one: Weights, other: Weights) -> Weights:
    return one[0] + other[0], None if one[1] is None else one[1] + other[1]
