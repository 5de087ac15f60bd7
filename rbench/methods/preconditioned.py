"""The common part of methods that solve with the layer metric M + VᵀV."""

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property, reduce
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from rbench.backend import Array, Backend
from rbench.errors import SpecError
from rbench.methods.base import Batch, Problem, Scalars, State, Step
from rbench.methods.descent import Descent, clip_step
from rbench.methods.operations import EIGEN, gradient_operations, layer_works, pass_operations
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Mass, OutputMetric, get_output_metric, layer_masses, pull_gradient, pull_metric
from rbench.modules import LayerPullback, Params, Weights
from rbench.modules.space import Space
from rbench.random import generator
from rbench.solvers import Direction, Form, Kept, LayerSize, Update, choose_form, gathered


class Preconditioned(Descent):
    """Descent along Δ_l = (M_l + V_lᵀ V_l)⁻¹ g_l (eqs. 2-3 of arXiv 2603.03610).

    Attributes:
        output_metric: name of an output metric, as `rbench list output_metrics` shows them; or a matrix.
        rank: samples per datum, for a metric that draws them.
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
        backend = problem.backend
        _, pairs = pull_gradient(backend, problem.net, params, problem.loss, datum.x, datum.y)
        width = backend.itemsize
        data = self.metric_data(batch_size)
        worst, what, rows = 0.0, "", 0.0
        sizes = self.sizes(problem, _outputs(problem, datum.x), [pair.source.shape[1] for pair in pairs], batch_size)
        masses = layer_masses(backend, problem.net.layers, self.mass)
        for index, (pair, size, mass) in enumerate(zip(pairs, sizes, masses, strict=True)):
            form = self._form(backend, size, mass)
            each = data * size.rows / size.samples + batch_size  # rows per position, the gradient's included
            rows += width * each * pair.source.shape[1] * size.fan_out
            rows += width * form.kept_numbers(size) * (self.refresh > 1)
            if form.numbers(size) * width > worst:
                worst = form.numbers(size) * width
                what = f"solver {form.name!r} at layer {index} with n = {size.n:,} numbers and {size.rows:,} rows"
        return worst + rows, what

    def metric_data(self, batch_size: int) -> int:
        """m, the number of data whose metric is taken."""
        return min(batch_size, self.metric_batch or batch_size)

    def sizes(self, problem: Problem, d: int, positions: Sequence[int], batch_size: int) -> list[LayerSize]:
        """The sizes of every layer's metric, given the network's outputs and every layer's positions."""
        data = self.metric_data(batch_size)
        rank = self.metric.rank(problem.loss, d)
        mean = self.batch == "mean"
        rescaled = self.metric.rescales and not mean
        return [
            LayerSize(
                1 if mean else data,
                data * count if mean else count,
                min(rank * data, d) if mean else rank,
                layer.fan_in,
                layer.fan_out,
                layer.bias,
                rescaled,
            )
            for layer, count in zip(problem.net.layers, positions, strict=True)
        ]

    def _form(self, backend: Backend, size: LayerSize, mass: Mass) -> Form:
        return choose_form(self.solver_name, backend, size, mass, self.workspace_mb * 2**20)

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step: forward, the pullback of the gradient's and the metric's rows, and a solve for each layer.

        V's rows are pulled back with the gradient's: rank rows per datum, none where they are rescaled rows of the
        gradient, and d with `batch=mean`. With `metric_batch` or `refresh` only the metric's data have them, at every
        `refresh`-th step, when the metric is factored; every step then has weight products and solves with that.
        """
        works = layer_works(problem.net, space)
        ((d,),) = problem.net.out_space(space)  # type: ignore[misc]
        sizes = self.sizes(problem, int(d or 0), [work.positions for work in works], batch)
        masses = layer_masses(problem.backend, problem.net.layers, self.mass)
        each = [(self._form(problem.backend, *one), one[0]) for one in zip(sizes, masses, strict=True)]
        data = self.metric_data(batch)
        rank = self.metric.rank(problem.loss, int(d or 0))
        rows = sizes[0].rank * (not sizes[0].rescaled)
        metric = 1.0 * data * sum(work.product * work.pulls for work in works) * rows
        if self.batch == "mean" and rank * data > int(d or 0):
            metric += rank * data * int(d or 0) ** 2 / 2 + EIGEN * int(d or 0) ** 3
        if self.refresh == 1 and data == batch:
            return pass_operations(works, batch, 1) + metric + sum(form.operations(size) for form, size in each)
        metric += sum(form.factoring(size) for form, size in each)
        applying = sum(form.applying(size) for form, size in each)
        return gradient_operations(works, batch) + metric / self.refresh + applying

    def init(self, problem: Problem, params: Params) -> State:
        return super().init(problem, params), ()

    def start(self, problem: Problem, params: Params, batch: Batch) -> State:
        velocity, kept = self.init(problem, params)
        if self.refresh > 1:
            backend, size = problem.backend, batch.y.shape[0]
            if self.samples:
                draws = problem.loss.noise(generator(0, "samples"), size, self.samples, _outputs(problem, batch.x))
                batch = batch._replace(noise=backend.asarray(draws))
            kept = backend.compile(lambda params, batch: self._solve(problem, params, batch, (), renew=True)[2])(
                params, batch
            )
        return velocity, kept

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        (velocity, kept), lr = state, scalars["lr"]
        loss, update, kept = self._solve(problem, params, batch, kept, renew=bool(phase))
        direction = update.blocks
        if self.kl_clip is not None:
            direction = clip_step(problem, direction, update.slope(), lr, self.kl_clip)
        params, velocity = self.descend(problem.backend, params, velocity, direction, lr)
        return Step(params, (velocity, kept), loss, update.health)

    def _solve(
        self, problem: Problem, params: Params, batch: Batch, kept: tuple[Kept, ...], *, renew: bool
    ) -> tuple[Array, Update, tuple[Kept, ...]]:
        """Mean loss, directions, and the kept metrics, which may be those of fewer or earlier data."""
        backend = problem.backend
        net = problem.net
        count = batch.y.shape[0]
        common = (backend, net, params, problem.loss)
        masses = layer_masses(backend, net.layers, self.mass)
        of_metric, rest = _split(batch, self.metric_data(count) if renew else 0)
        pulled: list[tuple[Array, list[LayerPullback]]] = []
        if of_metric is not None:
            pulled.append(pull_metric(*common, self.metric, self.batch, *of_metric, count))
        if rest is not None:
            pulled.append(pull_gradient(*common, rest.x, rest.y, count))
        loss, layers = pulled[0]
        if of_metric is not None and rest is not None:
            shares = of_metric.y.shape[0] / count, rest.y.shape[0] / count
            loss = shares[0] * loss + shares[1] * pulled[1][0]
        if renew:
            sizes = [LayerSize.of(layer) for layer in layers]
        else:
            positions = [layer.source.shape[1] for layer in layers]
            sizes = self.sizes(problem, _outputs(problem, batch.x), positions, count)
        own = rest is None and self.refresh == 1
        directions, metrics = [], []
        for index, (layer, size, mass) in enumerate(zip(layers, sizes, masses, strict=True)):
            gradient = None if own else reduce(_add, [part[index].gradient() for _, part in pulled])
            direction, metric = self._solve_layer(backend, layer, size, mass, gradient, None if renew else kept[index])
            directions.append(direction)
            if metric is not None:
                metrics.append(metric)
        return loss, gathered(backend, net.layers, directions), tuple(metrics)

    def _solve_layer(
        self,
        backend: Backend,
        layer: LayerPullback,
        size: LayerSize,
        mass: Mass,
        gradient: Weights | None,
        kept: Kept | None,
    ) -> tuple[Direction, Kept | None]:
        """The direction of a layer, and its metric if that is kept; no other array of the layer outlives the call."""
        form = self._form(backend, size, mass)
        if kept is None or gradient is None:
            factored = form.factor(backend, layer, mass, gradient)
        else:
            source = layer.source.one_sample(backend) if self.batch == "mean" else layer.source
            factored = form.restore(backend, kept, source, mass, gradient)
        return factored.solve(), factored.keep() if self.refresh > 1 else None


def _outputs(problem: Problem, x: Array | tuple[Array, ...]) -> int:
    """d, the network's outputs for inputs (batch, *shape)."""
    wires = x if isinstance(x, tuple) else (x,)
    ((d,),) = problem.net.out_space(tuple(tuple(wire.shape[1:]) for wire in wires))  # type: ignore[misc]
    return int(d or 0)


def _split(batch: Batch, size: int) -> tuple[Batch | None, Batch | None]:
    """The first data of a batch with their noise, and the others without noise; None for an empty part."""
    if size in (0, batch.y.shape[0]):
        return (batch, None) if size else (None, batch)

    def part(array: Any, place: slice) -> Any:
        if isinstance(array, tuple):
            return tuple(part(wire, place) for wire in array)
        return None if array is None else array[(place, *[slice(None)] * (array.ndim - 1))]

    first, rest = slice(0, size), slice(size, None)
    return Batch(*(part(array, first) for array in batch)), Batch(part(batch.x, rest), part(batch.y, rest), None)


def _add(one: Weights, other: Weights) -> Weights:
    return one[0] + other[0], None if one[1] is None else one[1] + other[1]
