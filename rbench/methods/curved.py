"""The common part of methods that go along a direction found with an output metric."""

from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial, reduce
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from rbench.backend import Array
from rbench.checks import outputs
from rbench.errors import SpecError
from rbench.methods.base import State, map_blocks, zero_array
from rbench.methods.descent import Descent, clip_step, least_rate
from rbench.methods.operations import layer_works, pass_operations
from rbench.methods.space import Dimension, LogUniform
from rbench.metrics import Batch, OutputMetric, Problem, Treatment, get_output_metric, pull_gradient, pull_metric
from rbench.modules import LayerPullback, Params, Weights
from rbench.modules.space import Space
from rbench.solvers.fit import fit_coefficients

FIT_SPACE: dict[str, Dimension] = {"fit_damping": LogUniform(1e-4, 1)}
"""What `rbench tune` varies of a fitted step, in place of the rate and the clip."""


def _registered(metric: Any) -> Any:
    if isinstance(metric, str):
        get_output_metric(metric)
    return metric


MetricSetting: TypeAlias = Annotated[str | tuple[tuple[float, ...], ...], AfterValidator(_registered)]
"""A setting that chooses an output metric: the name of one, or a matrix."""


class Curved(Descent):
    """Descent along directions Δ_l of layers that are found with an output metric pulled back to them.

    With `fit`, the step is s = ν (Σ_l α_l Δ_l + Σ_l μ_l s_l⁻) for the last step s⁻, and w ← w − η (s + λ w): the exact
    metric of the whole network chooses rates α and momenta μ, see `rbench.solvers.fit`. The rate η is then 1 unless it
    is given, and the fit stands in for `momentum` and `kl_clip`, which are refused.

    Attributes:
        rank: samples per datum, for a metric that draws them: its rows.
        metric_batch: m, a number of data, or below 1 a share of a batch: the metric is that of its first m data (of all
            if there are fewer, which a run refuses), the gradient that of all. None for all.
        refresh: steps between two computations of the metric, which is kept in between; every step has a gradient of
            its own.
        kl_clip: c, by which Δ is scaled before momentum so that η² gᵀΔ ≤ c; None for no clip.
        line_search: k, for the rate of η, η/2, …, η/2ᵏ at which the batch's loss is least; each takes a forward pass.
        fit: `none`; `scalar`, one α and one μ (Martens and Grosse 2015, sec. 7); or `layers`, an α and a μ per layer.
        fit_damping: λ of the fit, which is added to the metric in the span of its directions.
        trust: c of the fit: a step's squared length in the metric, in units of the loss, is at most c; `loss` for the
            batch's mean loss, which must not be negative then.
    """

    rank: int = Field(1, ge=1)
    metric_batch: Annotated[int, Field(ge=1, strict=True)] | Annotated[float, Field(gt=0, lt=1)] | None = None
    refresh: int = Field(1, ge=1)
    kl_clip: float | None = Field(None, gt=0)
    line_search: int = Field(0, ge=0, le=100)
    fit: Literal["none", "scalar", "layers"] = "none"
    fit_damping: float = Field(0.1, gt=0, allow_inf_nan=False)
    trust: Annotated[float, Field(gt=0)] | Literal["loss"] = "loss"

    @model_validator(mode="before")
    @classmethod
    def _a_fitted_step_is_taken_whole(cls, given: Any) -> Any:
        """The rate is 1 with a fit, unless another is given."""
        if isinstance(given, dict) and given.get("fit", "none") != "none":
            return {"lr": 1.0, **given}
        return given

    @model_validator(mode="after")
    def _fit_takes_the_place_of_momentum_and_clip(self) -> "Curved":
        usual = type(self).model_fields["momentum"].default
        if self.fit != "none" and (self.momentum not in (0, usual) or self.kl_clip is not None or self.line_search):
            raise ValueError(
                f"fit={self.fit} finds the momentum and bounds the step: leave out momentum, kl_clip and line_search"
            )
        return self

    @property
    @abstractmethod
    def metric(self) -> OutputMetric:
        """The output metric that is pulled back."""

    @property
    def searched(self) -> Mapping[str, Dimension]:
        left_out = FIT_SPACE if self.fit == "none" else ("lr", "kl_clip")
        return {name: dimension for name, dimension in super().searched.items() if name not in left_out}

    @property
    def samples(self) -> int:
        return self.metric.samples

    def samples_in(self, phase: Hashable) -> int:
        return self.samples if self.pulls_rows(phase) else 0

    def phase(self, step: int) -> Hashable:
        return step % self.refresh == 0

    def pulls_rows(self, phase: Hashable) -> bool:
        """Whether a variant of the step pulls the metric's rows back: to compute the metric, or for the fit."""
        return bool(phase) or self.fit != "none"

    def check_batch(self, size: int) -> None:
        if self.metric_data(size) < (self.metric_batch or 0):
            raise SpecError(
                f"metric_batch={self.metric_batch} is more than the {size} data of a batch; lower it, or leave it out "
                "for the metric of all of them"
            )

    def metric_data(self, batch_size: int) -> int:
        """m, the number of data whose metric is taken."""
        given = self.metric_batch
        if isinstance(given, float):
            return max(1, round(given * batch_size))
        return min(batch_size, given or batch_size)

    def first_velocity(self, problem: Problem, params: Params) -> State:
        """The momentum before the first step; with `fit`, that of a last step."""
        return Descent.init(self, problem, params) if self.fit == "none" else zero_weights(problem)

    def step_operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of how far to go: of the fit, or of the forward passes of a line search."""
        if self.line_search:
            return (self.line_search + 1) * pass_operations(layer_works(problem.net, space), batch, 0)
        return self.fit_operations(problem, space, batch)

    def fit_operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of the fit: T for two directions per layer, Q and its solve.

        V b takes m P o i pairs at a layer, for the outputs, and m rank P o for their products with V's rows.
        """
        if self.fit == "none":
            return 0.0
        works = layer_works(problem.net, space)
        data = self.metric_data(batch)
        rank = self.metric.rank(problem.loss, outputs(problem.net, space))
        count = 2 * (len(works) if self.fit == "layers" else 1)
        total = 2.0 * data * sum(work.weights + rank * work.positions * work.layer.fan_out for work in works)
        return total + data * rank * count**2 / 2 + count**3 / 6 + count**2

    def fit_numbers(self, problem: Problem) -> float:
        """Numbers that the fit holds at once: terms of the new step."""
        return 0.0 if self.fit == "none" else 3.0 * sum(layer.n_parameters for layer in problem.net.layers)

    def pull(
        self, problem: Problem, params: Params, batch: Batch, treatment: Treatment = "stack", *, rows: bool
    ) -> tuple[Array, list[list[LayerPullback]]]:
        """Mean loss, and pullbacks to every layer: of the metric's data, if `rows`; and of all other data."""
        count = batch.y.shape[0]
        of_metric, rest = split(batch, self.metric_data(count) if rows else 0)
        if of_metric is not None and batch.gradient is not None:
            rest = None
        parts: list[tuple[Array, list[LayerPullback]]] = []
        if of_metric is not None:
            parts.append(pull_metric(problem, params, of_metric, self.metric, treatment, count))
        if rest is not None:
            parts.append(pull_gradient(problem, params, rest, count))
        loss = parts[0][0]
        if of_metric is not None and rest is not None:
            loss = of_metric.y.shape[0] / count * loss + rest.y.shape[0] / count * parts[1][0]
        return loss, [layers for _, layers in parts]

    def move(
        self,
        problem: Problem,
        params: Params,
        velocity: State,
        batch: Batch,
        directions: Sequence[Weights],
        pulled: list[list[LayerPullback]],
        slope: Callable[[], Array],
        loss: Array,
        lr: float,
    ) -> tuple[Params, State, Array | None]:
        """New parameters and velocity, and a number that is not finite where the fit failed.

        Args:
            problem: the problem.
            params: w.
            velocity: the last step's.
            batch: what was pulled back.
            directions: Δ of every layer.
            pulled: what `pull` returned.
            slope: computes gᵀΔ.
            loss: the batch's mean loss.
            lr: η.
        """
        layers = problem.net.layers
        if self.fit == "none":
            blocks = tuple(layer.block(*d, problem.backend) for layer, d in zip(layers, directions, strict=True))
            if self.kl_clip is not None:
                blocks = clip_step(problem, blocks, slope(), lr, self.kl_clip)
            push, velocity = self.with_momentum(problem.backend, velocity, blocks)
            moved = partial(self.moved, problem.backend, params, push)
            rate = least_rate(problem, batch, moved, lr, self.line_search) if self.line_search else lr
            return moved(rate), velocity, None
        coefficients, health = fit_coefficients(
            problem.backend,
            pulled[0],
            [directions, velocity],
            share=self.metric_data(batch.y.shape[0]) / batch.y.shape[0],
            per_layer=self.fit == "layers",
            damping=self.fit_damping,
            trust=loss if self.trust == "loss" else self.trust,
        )
        rates = [(coefficients[row, 0], coefficients[row, 1]) for row in range(coefficients.shape[0])]
        rates *= len(layers) // len(rates)
        add_scaled = problem.backend.add_scaled
        step = tuple(
            (add_scaled(alpha * d[0], mu, s[0], spare=True), None if d[1] is None else alpha * d[1] + mu * s[1])
            for (alpha, mu), d, s in zip(rates, directions, velocity, strict=True)
        )
        blocks = tuple(layer.block(*s, problem.backend) for layer, s in zip(layers, step, strict=True))
        if self.weight_decay:
            params = map_blocks(lambda w: (1 - lr * self.weight_decay) * w, params)
        params = map_blocks(lambda w, s: add_scaled(w, -lr, s), params, blocks)
        return params, step, health


def given_gradients(problem: Problem, batch: Batch) -> list[Weights] | None:
    """The gradient that a batch brings, at every layer; None where it is that of the loss."""
    if batch.gradient is None:
        return None
    pairs = zip(problem.net.layers, batch.gradient, strict=True)
    return [layer.weights(block, problem.backend) for layer, block in pairs]


def zero_weights(problem: Problem) -> tuple[Weights, ...]:
    """Zeros in the shape of every layer's weights."""
    backend = problem.backend
    return tuple(
        (zero_array(backend, layer.fan_out, layer.fan_in), zero_array(backend, layer.fan_out) if layer.bias else None)
        for layer in problem.net.layers
    )


def added(*terms: Weights) -> Weights:
    """The sum of numbers in the shape of a layer's weights."""
    return reduce(lambda one, other: (one[0] + other[0], None if one[1] is None else one[1] + other[1]), terms)


def scaled(factor: Array | float, weights: Weights) -> Weights:
    """A number times numbers in the shape of a layer's weights."""
    return factor * weights[0], None if weights[1] is None else factor * weights[1]


def split(batch: Batch, size: int) -> tuple[Batch | None, Batch | None]:
    """The first data of a batch with their noise, and the others without noise; None for an empty part."""
    if size in (0, batch.y.shape[0]):
        return (batch, None) if size else (None, batch)

    def part(array: Any, data: slice) -> Any:
        if isinstance(array, tuple):
            return tuple(part(wire, data) for wire in array)
        return None if array is None else array[(data, *[slice(None)] * (array.ndim - 1))]

    first = slice(0, size)
    rest = slice(size, None)
    of_metric = Batch(part(batch.x, first), part(batch.y, first), part(batch.noise, first), batch.gradient)
    return of_metric, Batch(part(batch.x, rest), part(batch.y, rest), None, batch.gradient)
