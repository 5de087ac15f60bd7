"""Natural gradient descent with the whole network's metric, by conjugate gradients or by Woodbury's identity."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from rbench.backend import Array
from rbench.checks import outputs
from rbench.methods.base import Scalars, State, Step, zero_array
from rbench.methods.curved import FIT_SPACE, Curved, MetricSetting, added, split
from rbench.methods.operations import gradient_operations, layer_works
from rbench.methods.riemannian import Riemannian
from rbench.methods.space import Choice, Dimension, LogUniform
from rbench.metrics import Batch, OutputMetric, Problem, flattened, get_output_metric, metric_product, unflattened
from rbench.modules import LayerPullback, Params
from rbench.modules.space import Space, space_of
from rbench.solvers import conjugate_gradients


class NaturalGradient(Curved):
    """Descent along Δ = (F + λI)⁻¹ g with F = (1/B) Σ_b J_bᵀ Ĝ_b J_b of the whole network, cross-layer terms and all.

    With the output metric `ggn` this is the natural gradient of the loss's distribution (Amari 1998), and the Gauss-
    Newton direction of Hessian-free optimisation (Martens 2010).

    Attributes:
        output_metric: Ĝ, as `riemannian` takes it.
        damping: λ.
        solve: `cg`, conjugate gradients on exact products F v, each a pushforward and a pullback, so that no row of the
            metric is held; or `woodbury`, exactly, by one factorisation: then the method is
            `riemannian[coupling=network,mass=λ]`.
        iterations: of conjugate gradients per step, whose last iterate is Δ. From a start at zero gᵀΔ > 0.
        tolerance: a Δ with ‖g − (F + λI) Δ‖ ≤ tolerance · ‖g‖ is kept. (Martens stops where the quadratic model
            hardly falls any more.)
        warm_start: ξ, conjugate gradients start at ξ times the last step's Δ (Martens and Sutskever 2012); 0 for zero.
        precondition: α, conjugate gradients are preconditioned by (diag Σ_b g_b g_bᵀ / B + λ)^α of the batch's
            gradients g_b (Martens 2010, with α = 0.75), positions that share weights taken as data; 0 for none.
    """

    name: ClassVar[str] = "natural-gradient"
    summary: ClassVar[str] = "the whole network's metric, by conjugate gradients or Woodbury"
    always: ClassVar[tuple[str, ...]] = ("output_metric", "lr", "damping")
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-3, 1),
        "damping": LogUniform(1e-4, 10),
        "kl_clip": Choice(None, 0.001, 0.01),
        **FIT_SPACE,
    }
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    output_metric: MetricSetting = "ggn_mc"
    damping: float = Field(0.1, gt=0, allow_inf_nan=False)
    solve: Literal["cg", "woodbury"] = "cg"
    iterations: int = Field(10, ge=1)
    tolerance: float = Field(1e-3, ge=0, lt=1)
    warm_start: float = Field(0.0, ge=0, le=1)
    precondition: float = Field(0.0, ge=0, le=1)

    @model_validator(mode="after")
    def _settings_are_of_the_way_to_solve(self) -> "NaturalGradient":
        if self.solve == "cg" and self.refresh > 1:
            raise ValueError(
                f"refresh={self.refresh}: conjugate gradients have no factored metric to keep; leave it out, or give "
                "solve=woodbury"
            )
        if self.solve == "woodbury":
            for name in ("iterations", "tolerance", "warm_start", "precondition"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name}={getattr(self, name)} is a setting of solve=cg: leave it out")
        return self

    @cached_property
    def metric(self) -> OutputMetric:
        return get_output_metric(self.output_metric, self.rank)

    @cached_property
    def by_woodbury(self) -> Riemannian | None:
        """The method that solves by Woodbury's identity; None for conjugate gradients."""
        if self.solve == "cg":
            return None
        shared = {name: getattr(self, name) for name in Curved.model_fields}
        return Riemannian(coupling="network", output_metric=self.output_metric, mass=self.damping, **shared)

    def pulls_rows(self, phase: Hashable) -> bool:
        return self.fit != "none" if self.solve == "cg" else super().pulls_rows(phase)

    def samples_in(self, phase: Hashable) -> int:
        return self.samples if self.solve == "cg" else super().samples_in(phase)

    def check(self, problem: Problem) -> None:
        self.metric.check(problem.loss)

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        if self.by_woodbury:
            return self.by_woodbury.workspace_bytes(problem, params, datum, batch_size)
        space = space_of(datum.x)
        works = layer_works(problem.net, space)
        d = outputs(problem.net, space)
        n = sum(layer.n_parameters for layer in problem.net.layers)
        data = self.metric_data(batch_size)
        rank = self.metric.rank(problem.loss, d)
        points = [work.positions * work.layer.fan_out for work in works]
        windows = [work.positions * work.layer.fan_in if work.positions > 1 else 0 for work in works]
        # Iterate, residual, direction and their successors, the gradient, and a product with its parts.
        vectors = 7 + (self.warm_start > 0) + 2 * (self.precondition > 0)
        # Activations of the metric's data, with their tangents or cotangents; the output metric's rows.
        per_datum = 2.0 * sum(points) + sum(windows) + max(windows) + 2 * rank * d
        if self.fit != "none":
            per_datum += (rank + 1) * sum(points)
        numbers = vectors * n + data * per_datum + self.fit_numbers(problem)
        return problem.backend.itemsize * numbers, f"conjugate gradients on {n:,} numbers"

    def operations(self, problem: Problem, space: Space, batch: int) -> float:
        """Pairs of a step by conjugate gradients: a gradient's, and products with the metric of m data.

        A product takes, of each layer, P o i pairs for the part of the pushforward that its weights make, P o i for
        what its inputs pass on and P o i to pull cotangents back, neither in a first layer, and a weight product P o i;
        and 2 rank d for the output metric. They all follow one more forward pass.
        """
        if self.by_woodbury:
            return self.by_woodbury.operations(problem, space, batch)
        works = layer_works(problem.net, space)
        data = self.metric_data(batch)
        d = outputs(problem.net, space)
        rank = self.metric.rank(problem.loss, d)
        product = sum(work.product + 2 * work.pulled + work.weights for work in works) + 2 * rank * d
        count = self.iterations + (self.warm_start > 0)
        total = gradient_operations(works, batch) + self.step_operations(problem, space, batch)
        total += data * (sum(work.product for work in works) + count * product)
        if self.precondition:
            total += batch * sum(work.weights for work in works)
        if self.fit != "none" and not self.metric.rescales:
            total += data * rank * sum(work.pulled for work in works)
        return float(total)

    def init(self, problem: Problem, params: Params) -> State:
        if self.by_woodbury:
            return self.by_woodbury.init(problem, params)
        velocity = self.first_velocity(problem, params)
        if not self.warm_start:
            return velocity, ()
        n = sum(layer.n_parameters for layer in problem.net.layers)
        return velocity, zero_array(problem.backend, n)

    def start(self, problem: Problem, params: Params, batch: Batch) -> State:
        if self.by_woodbury:
            return self.by_woodbury.start(problem, params, batch)
        return self.init(problem, params)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        if self.by_woodbury:
            return self.by_woodbury.step(problem, params, state, batch, scalars, phase)
        backend = problem.backend
        xp = backend.xp
        velocity, last = state
        loss, parts = self.pull(problem, params, batch, rows=self.pulls_rows(phase))
        gradient = flattened(
            backend, [added(*(part.gradient() for part in layer)) for layer in zip(*parts, strict=True)]
        )
        of_metric, _ = split(batch, self.metric_data(batch.y.shape[0]))
        undamped = metric_product(problem, params, of_metric or batch, self.metric)
        solution = conjugate_gradients(
            backend,
            lambda vector: undamped(vector) + self.damping * vector,
            gradient,
            iterations=self.iterations,
            tolerance=self.tolerance,
            start=last if self.warm_start else None,
            divisor=self._preconditioner(problem, parts) if self.precondition else 1.0,
        )
        directions = unflattened(backend, problem.net.layers, solution)
        health = xp.stack([xp.sum(weight) for weight, _ in directions])
        first = self.warm_start * solution if self.warm_start else ()  # before the move, which may reuse its memory
        params, velocity, fitted = self.move(
            problem,
            params,
            velocity,
            batch,
            directions,
            parts,
            lambda: xp.sum(gradient * solution),
            loss,
            scalars["lr"],
        )
        return Step(params, (velocity, first), loss, health if fitted is None else health + fitted)

    def _preconditioner(self, problem: Problem, parts: Sequence[Sequence[LayerPullback]]) -> Array:
        """(B Σ_b diag (g_b/B)(g_b/B)ᵀ + λ)^α, (n,), for the data's shares g_b/B of the gradient."""
        backend = problem.backend

        def squares(layer: LayerPullback) -> tuple[Array, Array | None]:
            rows = layer.cotangents[:, :1, :, :]
            return replace(layer, cotangents=rows, scale=backend.xp.ones_like(rows[:, 0, 0, 0])).squares()

        count = sum(layers[0].source.shape[0] for layers in parts)
        found = flattened(backend, [added(*map(squares, layer)) for layer in zip(*parts, strict=True)])
        return (count * found + self.damping) ** self.precondition
