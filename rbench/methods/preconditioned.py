"""The common part of methods that solve with a metric, mass and rows: (M + ω VᵀV) Δ = g."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from functools import cached_property, partial
from itertools import repeat
from typing import Any, ClassVar, Literal, cast

from pydantic import Field, field_validator, model_validator

from rbench.backend import Array, Backend
from rbench.checks import outputs
from rbench.methods import kronecker
from rbench.methods.base import WINDOW, Scalars, State, Step
from rbench.methods.curved import FIT_SPACE, Curved, MetricSetting, added, given_gradients, scaled, zero_weights
from rbench.methods.masses import FixedMass, MassRule, RunningDiagonal, RunningKronecker
from rbench.methods.operations import EIGEN, layer_works, pass_operations
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import (
    AnyMass,
    Batch,
    Mass,
    OutputMetric,
    Problem,
    get_output_metric,
)
from rbench.modules import LayerPullback, Params, Weights
from rbench.modules.space import Space, space_of
from rbench.random import generator
from rbench.solvers import Coupling, Direction, Factored, LayerSize, NetworkSolver
from rbench.solvers.base import AnyGradient, inner_product
from rbench.solvers.cost import Cost


class Preconditioned(Curved):
    """Descent along Δ = (M + ω VᵀV)⁻¹ g (eqs. 2-3 of arXiv 2603.03610), for each layer or for the whole network.

    The mass M is fixed; or it remembers, as running averages over steps:

    - `kronecker`: M_l = (G_l + √λ/π I) ⊗ (A_l + π√λ I), the factors and damping of `kfac`;
    - `diagonal`: M_l = λ + E[diag V_lᵀV_l], positions that share weights taken as rows of their own.

    Attributes:
        output_metric: name of an output metric, as `rbench list output_metrics` shows them; or a matrix.
        mass: M; a float, one entry per layer as `rbench.riemannian_gradient` takes them, `kronecker` or `diagonal`.
        damping: λ of a mass that remembers.
        decay: ρ of its running averages, as `kfac` has it.
        factor_refresh: steps between two of its updates; a multiple of `refresh`.
        rows: ω, the weight of the rows; true for 1; false for Δ = M⁻¹ g.
        batch: `stack` or `mean`.
        spring: momentum as in SPRING (Goldshlager, Abrahamsen and Lin 2024, arXiv 2401.10190), in place of the heavy
            ball's: Δ_t = (M + ω VᵀV)⁻¹ (g + μ M Δ_(t−1)) and w ← w − η (Δ_t + λ w); for a mass that is fixed. Where the
            rows say nothing Δ keeps μ times its last value, and where they say much it is as if without momentum.
        workspace_mb: 2²⁰ bytes that a layer's solve may take beyond its rows, where another way takes less.
    """

    always: ClassVar[tuple[str, ...]] = ("output_metric", "lr", "mass")
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-3, 1),
        "mass": LogUniform(1e-4, 10),
        "damping": LogUniform(1e-4, 10),
        "kl_clip": Choice(None, 0.001, 0.01),
        **FIT_SPACE,
    }
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    output_metric: MetricSetting = "ggn_mc"
    mass: float | Literal["kronecker", "diagonal"] | tuple[Any, ...] = 0.1
    damping: float = Field(0.1, gt=0, allow_inf_nan=False)
    decay: float = Field(0.95, ge=0, lt=1)
    factor_refresh: int = Field(1, ge=1)
    rows: bool | float = True
    batch: Literal["stack", "mean"] = "stack"
    spring: bool = False
    workspace_mb: float = Field(1024, gt=0)

    @field_validator("mass")
    @classmethod
    def _mass_is_positive(cls, mass: Any) -> Any:
        if isinstance(mass, float) and not 0 < mass < float("inf"):
            raise ValueError("mass must be positive and finite: it is what makes the metric invertible")
        return mass

    @field_validator("rows")
    @classmethod
    def _weight_is_positive(cls, rows: Any) -> Any:
        if not isinstance(rows, bool) and not 0 < rows < float("inf"):
            raise ValueError("give a positive weight of the rows, or rows=false for the mass alone")
        return rows

    @model_validator(mode="after")
    def _a_mass_that_remembers_is_consistent(self) -> "Preconditioned":
        if self.mass_rule.remembers and self.batch == "mean":
            raise ValueError(f"mass={self.mass} averages over data: it goes with batch=stack")
        if self.mass_rule.remembers and self.factor_refresh % self.refresh:
            raise ValueError(
                f"factor_refresh={self.factor_refresh} is no multiple of refresh={self.refresh}: the metric is "
                "factored with the mass"
            )
        return self

    @model_validator(mode="after")
    def _spring_has_what_it_takes(self) -> "Preconditioned":
        if self.spring and (self.mass_rule.remembers or self.rows is False or self.fit != "none" or not self.momentum):
            raise ValueError("spring=true takes a mass that is fixed, rows and momentum, and goes without a fit")
        return self

    @property
    @abstractmethod
    def solver_name(self) -> str:
        """Which solver serves the layers."""

    @property
    def coupled(self) -> Coupling:
        """Whether each layer has a metric of its own, or all have one."""
        return "layer"

    @cached_property
    def mass_rule(self) -> MassRule:
        """How the masses come about."""
        if self.mass == "kronecker":
            return RunningKronecker(self.damping)
        return RunningDiagonal(self.damping) if self.mass == "diagonal" else FixedMass(self.mass)

    @cached_property
    def network_solver(self) -> NetworkSolver:
        """What solves with the metrics of all layers."""
        return NetworkSolver(self.solver_name, self.workspace_mb * 2**20, self.coupled, float(self.rows))

    @cached_property
    def metric(self) -> OutputMetric:
        return get_output_metric(self.output_metric, self.rank)

    @property
    def searched(self) -> Mapping[str, Dimension]:
        left_out = "mass" if self.mass_rule.remembers else "damping"
        return {name: dimension for name, dimension in super().searched.items() if name != left_out}

    def phase(self, step: int) -> Hashable:
        due = step % self.refresh == 0
        return (due, step % self.factor_refresh == 0) if self.mass_rule.remembers else due

    def pulls_rows(self, phase: Hashable) -> bool:
        renews, averages = _dues(phase)
        return averages or (renews and self.rows is not False) or self.fit != "none"

    def scalars(self, step: int, total: int) -> Scalars:
        found = super().scalars(step, total)
        if self.mass_rule.remembers:
            found["decay"] = kronecker.decay_at(step // self.factor_refresh, self.decay)
        return found

    def check(self, problem: Problem) -> None:
        self.metric.check(problem.loss)
        self.mass_rule.kinds(problem)

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        sizes, costs = self._costs(problem, space_of(datum.x), batch_size)
        data = self.metric_data(batch_size)
        held = self.fit_numbers(problem) + self.mass_rule.numbers(problem, sizes)
        for size, cost in zip(sizes, costs, strict=True):
            per_position = data * size.rank + batch_size  # the gradient's rows included
            held += per_position * size.points // data * size.fan_out
            if self.refresh > 1:
                held += cost.kept
        numbers = [cost.numbers for cost in costs]
        worst = numbers.index(max(numbers))
        size = sizes[worst]
        form = self.network_solver.form(problem.backend, size, self.mass_rule.kinds(problem)[worst])
        words = f"solver {form.name!r} at layer {worst} with n = {size.n:,} numbers and {size.rows:,} rows"
        if self.rows is not False:
            held += self.network_solver.together(costs, size.rows).numbers
        return problem.backend.itemsize * held, words

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

    def _costs(self, problem: Problem, space: Space, batch_size: int) -> tuple[list[LayerSize], list[Cost]]:
        """Sizes of every layer's metric and the cost of its solve, for inputs of these shapes."""
        positions = [work.positions for work in layer_works(problem.net, space)]
        sizes = self.sizes(problem, outputs(problem.net, space), positions, batch_size)
        return sizes, self.network_solver.costs(problem.backend, sizes, self.mass_rule.kinds(problem))

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step: forward, the pullback of the gradient's and the metric's rows, and a solve per layer.

        V's rows are pulled back with the gradient's: rank rows per datum, none where they are rescaled rows of the
        gradient, and d with `batch=mean`. With `metric_batch` or `refresh` only the metric's data have them, at every
        `refresh`-th step, when the metric is factored; every step then has weight products and solves with that. With
        `coupling=network` all layers share one factorisation, r³/6, and the solves with it, r². A Kronecker mass takes
        what K-FAC's factors and direction do; and p a² + q o² for p points of inputs and q of V's rows.
        """
        works = layer_works(problem.net, space)
        rule = self.mass_rule
        data = self.metric_data(batch)
        rank = self.metric.rank(problem.loss, outputs(problem.net, space))
        direct = data == batch and self._in_one_pass
        total = self.step_operations(problem, space, batch) + pass_operations(works, batch, 1)
        if not direct:
            total += batch * sum(work.weights for work in works)
        for phase, count in Counter(self.phase(index) for index in range(WINDOW)).items():
            renews, due = _dues(phase)
            pairs = self._row_operations(problem, space, batch) if self.pulls_rows(phase) else 0.0
            if due:
                pairs += sum(rule.update_operations(work, data, rank) for work in works)
            if not direct:
                pairs += sum(rule.solve_operations(work, batch) for work in works)
            if self.rows is not False:
                sizes, costs = self._costs(problem, space, batch)
                cost = self.network_solver.together(costs, sizes[0].rows)
                pairs += cost.operations if direct else cost.applying + (cost.factoring if renews else 0.0)
            total += count / WINDOW * pairs
        return total

    @property
    def _in_one_pass(self) -> bool:
        """Whether a metric of the whole batch is solved with as it is factored, with a gradient that is not formed."""
        return self.refresh == 1 and self.rows is not False and self.mass != "kronecker" and not self.spring

    def _row_operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of pulling the metric's rows back."""
        data = self.metric_data(batch)
        d = outputs(problem.net, space)
        drawn = self.metric.rank(problem.loss, d) * data
        averaged = self.batch == "mean"
        rows = 0 if self.metric.rescales else self.metric.rank(problem.loss, d)
        if averaged:
            rows = min(drawn, d)
        total = 1.0 * data * sum(work.pulled for work in layer_works(problem.net, space)) * rows
        return total + drawn * d**2 / 2 + EIGEN * d**3 if averaged and drawn > d else total

    def init(self, problem: Problem, params: Params) -> State:
        velocity = zero_weights(problem) if self.spring else self.first_velocity(problem, params)
        return velocity, (), self.mass_rule.first(problem)

    def with_momentum(
        self, backend: Backend, velocity: Any, direction: Params, *, nesterov: bool = False
    ) -> tuple[Params, Any]:
        if self.spring:
            return direction, velocity
        return super().with_momentum(backend, velocity, direction, nesterov=nesterov)

    def start(self, problem: Problem, params: Params, batch: Batch) -> State:
        velocity, kept, averages = self.init(problem, params)
        if self.refresh > 1 and self.rows is not False:
            backend = problem.backend
            if self.samples:
                d = outputs(problem.net, space_of(batch.x))
                draws = problem.loss.noise(generator(0, "samples"), batch.y.shape[0], self.samples, d)
                batch = batch._replace(noise=backend.asarray(draws))

            def factored(params: Params, batch: Batch) -> tuple[Factored, ...]:
                _, (layers, *_) = self.pull(problem, params, batch, self.batch, rows=True)
                started = self.mass_rule.updated(problem, layers, averages, 0.0)
                return self.network_solver.factor(backend, layers, self.mass_rule.masses(problem, started))

            kept = backend.compile(factored)(params, batch)
        return velocity, kept, averages

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        velocity, kept, averages = state
        renews, due = _dues(phase)
        loss, parts = self.pull(problem, params, batch, self.batch, rows=self.pulls_rows(phase))
        if due:
            averages = self.mass_rule.updated(problem, parts[0], averages, scalars["decay"])
        masses = self.mass_rule.masses(problem, averages)
        last = velocity if self.spring else None
        directions, kept = self._directions(problem, batch, parts, masses, kept, last, renews=renews)
        xp = problem.backend.xp

        def slope() -> Array:
            return xp.sum(xp.stack([direction.slope() for direction in directions]))

        weights = [direction.weights for direction in directions]
        params, velocity, fitted = self.move(
            problem, params, velocity, batch, weights, parts, slope, loss, scalars["lr"]
        )
        health = xp.stack([direction.health for direction in directions])
        if self.spring:
            velocity = tuple(weights)
        return Step(params, (velocity, kept, averages), loss, health if fitted is None else health + fitted)

    def _directions(
        self,
        problem: Problem,
        batch: Batch,
        parts: list[list[LayerPullback]],
        masses: Sequence[AnyMass],
        kept: tuple[Factored, ...],
        last: Sequence[Weights] | None,
        *,
        renews: bool,
    ) -> tuple[list[Direction], tuple[Factored, ...]]:
        """Directions, and the kept metrics, which may be of fewer or earlier data; `last` are SPRING's last Δ."""
        backend = problem.backend
        layers = parts[0]
        solver = self.network_solver
        if renews and len(parts) == 1 and self._in_one_pass and batch.gradient is None:
            return solver.directions(backend, layers, cast(Sequence[Mass], masses)), ()
        rule = self.mass_rule
        given = given_gradients(problem, batch) or repeat(None, len(layers))
        items = zip(zip(*parts, strict=True), masses, given, strict=True)
        gradients = [rule.gradient(problem, *item) for item in items]
        if last is not None:
            pairs = zip(gradients, masses, last, strict=True)
            gradients = [_sprung(backend, g, cast(Mass, mass), self.momentum, one) for g, mass, one in pairs]
        if self.rows is False:
            return [_by_mass(gradient) for gradient in gradients], ()
        sources = [layer.source for layer in layers]
        if renews:
            kept = solver.factor(backend, layers, masses)
            sizes = [LayerSize.of(layer) for layer in layers]
        else:
            positions = [work.positions for work in layer_works(problem.net, space_of(batch.x))]
            sizes = self.sizes(problem, outputs(problem.net, space_of(batch.x)), positions, batch.y.shape[0])
            if self.batch == "mean" and self.fit == "none":
                sources = [source.one_example(backend) for source in sources]
        return solver.solve(backend, kept, sources, masses, gradients, sizes), kept if self.refresh > 1 else ()


def _by_mass(gradient: AnyGradient) -> Direction:
    """M⁻¹g as a direction."""
    weights = gradient.by_mass()
    return Direction(weights, lambda: gradient.slope(weights), 0 * weights[0][0, 0])


def _sprung(backend: Backend, gradient: AnyGradient, mass: Mass, momentum: float, last: Weights) -> AnyGradient:
    """g + μ M Δ for the last Δ."""
    kept = scaled(momentum, last)
    of_weight, of_bias = mass.entries(0, last[0].shape[0])
    pushed = of_weight * kept[0], None if kept[1] is None else of_bias * kept[1]
    formed = added(gradient.formed(), pushed)
    return AnyGradient(lambda: formed, lambda: added(gradient.by_mass(), kept), partial(inner_product, backend, formed))


def _dues(phase: Hashable) -> tuple[bool, bool]:
    """Whether the metric and the mass are due in a variant of the step."""
    return phase if isinstance(phase, tuple) else (bool(phase), False)
