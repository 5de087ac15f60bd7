"""What the methods share that solve with the layer metric M + VᵀV."""

from abc import abstractmethod
from collections.abc import Hashable
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from rbench.methods.base import Batch, Problem, Scalars, State, Step
from rbench.methods.descent import Descent, clip_step
from rbench.metrics import OutputMetric, get_output_metric, layer_masses, pull_gradient, pull_metric
from rbench.modules import Params
from rbench.solvers import LayerSize, choose_solver, solve_layers


class Preconditioned(Descent):
    """Descent along Δ_l = (M_l + V_lᵀ V_l)⁻¹ g_l (eqs. 2-3 of arXiv 2603.03610).

    Attributes:
        output_metric: `identity`, `ggn`, `ggn_mc`, `true_vs_rest` or `empirical_fisher`; from Python also a matrix.
        rank: samples a datum, for `ggn_mc`.
        mass: M; a float, or one entry a layer as `rbench.riemannian_gradient` takes them.
        batch: `stack` or `mean`.
        workspace_mb: 2²⁰ bytes that a layer's solve may take beyond its rows, where another way takes less.
        kl_clip: c, by which Δ is scaled before momentum so that η² gᵀΔ ≤ c; None for no clip.
    """

    always: ClassVar[tuple[str, ...]] = ("output_metric", "lr", "mass")
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    output_metric: (
        Literal["identity", "ggn", "ggn_mc", "true_vs_rest", "empirical_fisher"] | tuple[tuple[float, ...], ...]
    ) = "ggn_mc"
    rank: int = Field(1, ge=1)
    mass: float | tuple[Any, ...] = 0.1
    batch: Literal["stack", "mean"] = "stack"
    kl_clip: float | None = Field(None, gt=0)
    workspace_mb: float = Field(1024, gt=0)

    @model_validator(mode="after")
    def _mass_is_positive(self) -> "Preconditioned":
        if isinstance(self.mass, float) and not 0 < self.mass < float("inf"):
            raise ValueError("mass must be positive and finite: it is what makes the metric invertible")
        return self

    @property
    @abstractmethod
    def solver_name(self) -> str:
        """Which solver serves the layers."""

    @property
    def metric(self) -> OutputMetric:
        """The output metric itself."""
        return get_output_metric(self.output_metric, self.rank)

    @property
    def samples(self) -> int:
        return self.metric.samples

    def check(self, problem: Problem) -> None:
        self.metric.check(problem.loss)
        layer_masses(problem.backend, problem.net.layers, self.mass)

    def workspace_bytes(self, problem: Problem, params: Params, datum: Batch, batch_size: int) -> tuple[float, str]:
        backend, layers = problem.backend, problem.net.layers
        _, pairs = pull_gradient(backend, problem.net, params, problem.loss, datum.x, datum.y)
        (z,), _ = problem.net.forward(backend, params, (datum.x,))
        d = z.shape[1]
        rank, rescaled = self.metric.rank(problem.loss, d), self.metric.rescales and self.batch == "stack"
        width = backend.itemsize
        worst, what, rows = 0.0, "", 0.0
        for index, (layer, pair, mass) in enumerate(
            zip(layers, pairs, layer_masses(backend, layers, self.mass), strict=True)
        ):
            positions = pair.source.shape[1]
            if self.batch == "mean":
                shape = (1, batch_size * positions, min(rank * batch_size, d))
            else:
                shape = (batch_size, positions, rank)
            size = LayerSize(*shape, layer.fan_in, layer.fan_out, layer.bias, rescaled)
            solver = choose_solver(self.solver_name, backend, size, mass, self.workspace_mb * 2**20)
            rows += width * batch_size * positions * (shape[2] + 1) * layer.fan_out
            if solver.numbers(size) * width > worst:
                worst = solver.numbers(size) * width
                what = f"solver {solver.name!r} at layer {index} with n = {size.n:,} numbers and {size.rows:,} rows"
        return worst + rows, what

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        backend, layers, lr = problem.backend, problem.net.layers, scalars["lr"]
        loss, pulled = pull_metric(
            backend, problem.net, params, problem.loss, self.metric, self.batch, batch.x, batch.y, batch.noise
        )
        masses = layer_masses(backend, layers, self.mass)
        update = solve_layers(backend, layers, pulled, masses, self.solver_name, self.workspace_mb * 2**20)
        direction = update.blocks
        if self.kl_clip is not None:
            direction = clip_step(problem, direction, update.slope(), lr, self.kl_clip)
        params, state = self.descend(backend, params, state, direction, lr)
        return Step(params, state, loss, update.health)
