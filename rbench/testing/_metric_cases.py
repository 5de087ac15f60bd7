"""Cases of layer metrics and of the solvers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rbench.api import layer_metrics, riemannian_gradient
from rbench.backend import Backend
from rbench.losses import get_loss
from rbench.metrics import Batch, Problem, Treatment, get_output_metric, layer_masses, pull_metric
from rbench.random import generator
from rbench.solvers import solve_layers
from rbench.testing import oracle
from rbench.testing._examples import CONVOLUTIONS, FIXED, LOSSES, SEED, example
from rbench.testing._networks import Numbers
from rbench.testing.case import Arrays, Case, native, on_host

METRICS = {
    "ggn": [1],
    "ggn_mc": [1, 3],
    "identity": [1],
    "empirical_fisher": [1],
    "true_vs_rest": [1],
    "fixed": [1],
}
"""Output metrics, with the ranks that are tried."""

_MASSES = {"scalar": "scalar", "list": "scalar", "pair": "separable"} | dict.fromkeys(
    ("full", "flat", "mapping"), "diagonal"
)
"""Forms in which a mass is given, and the kind of mass that each is."""


@dataclass(frozen=True)
class Question:
    """Arguments of `rbench.riemannian_gradient`, for a backend and for the oracle."""

    network: str
    loss: str = "cross_entropy"
    metric: str = "ggn"
    rank: int = 1
    mass: str = "scalar"
    batch: Treatment = "stack"
    solver: str = "auto"
    scale: float = 1.0
    workspace_bytes: float | None = None

    def __str__(self) -> str:
        samples = self.metric != "fixed" and get_output_metric(self.metric).samples
        words = [self.network, self.loss, self.metric + (f" rank {self.rank}" if samples else "")]
        if self.workspace_bytes is not None:
            words.append(f"workspace {self.workspace_bytes:g}")
        return ", ".join([*words, f"mass {self.mass}", self.batch, *(["confident"] if self.scale > 1 else [])])

    @property
    def output_metric(self) -> Any:
        return np.asarray(FIXED) if self.metric == "fixed" else self.metric

    def draw_mass(self) -> Any:
        """The mass in the form that `mass` names."""
        layers = example(self.network).net.layers
        return oracle.draw_mass(self.mass, layers, generator(SEED, "data", 3))

    def arguments(self, backend: Backend) -> dict[str, Any]:
        """All arguments for a backend."""
        given = example(self.network, self.scale)
        return {
            "net": given.net,
            "params": native(backend, given.params),
            "x": given.x,
            "y": given.targets[self.loss],
            "loss": self.loss,
            "output_metric": self.output_metric,
            "rank": self.rank,
            "mass": self.draw_mass(),
            "batch": self.batch,
            "solver": self.solver,
            "backend": backend,
            "seed": SEED,
        }

    def metrics(self, backend: Backend) -> Arrays:
        """Every layer's G (n, n)."""
        return [metric.astype(backend.dtype) for metric in layer_metrics(**self.arguments(backend))]

    def directions(self, backend: Backend) -> Arrays:
        """Every layer's G⁻¹ g (n,)."""
        return on_host(backend, riemannian_gradient(**self.arguments(backend)))

    def bounded_directions(self, backend: Backend) -> Arrays:
        """`directions` with `workspace_bytes` per layer, for class labels and a metric that draws no samples."""
        given = example(self.network)
        net = given.net
        batch = Batch(tuple(map(backend.asarray, given.x)), backend.labels(given.targets[self.loss]))
        params = native(backend, given.params)
        problem = Problem(backend, net, get_loss(self.loss))
        metric = get_output_metric(self.output_metric)
        masses = layer_masses(backend, net.layers, self.draw_mass())
        with backend.inference():
            _, pulled = pull_metric(problem, params, batch, metric, self.batch)
            update = solve_layers(backend, net.layers, pulled, masses, self.solver, self.workspace_bytes or 0)
        return on_host(backend, update.blocks)

    def metric_case(self, check: str) -> Case:
        """The case of `metrics`."""
        return Case(check, str(self), self.metrics, self.dense_metrics)

    def dense_metrics(self) -> list[Numbers]:
        """`metrics`, by the oracle."""
        given = example(self.network, self.scale)
        y = given.targets[self.loss]
        outputs = oracle.output_metrics(self.output_metric, self.loss, given.outputs, y, self.rank, SEED)
        diagonals = oracle.mass_diagonals(self.draw_mass(), given.net.layers)
        return [
            oracle.layer_metric(jacobian, outputs, diagonal, self.batch)
            for jacobian, diagonal in zip(given.jacobians, diagonals, strict=True)
        ]

    def dense_directions(self) -> list[Numbers]:
        """`directions`, by the oracle."""
        gradients = example(self.network, self.scale).gradients(self.loss)
        return [np.linalg.solve(metric, g) for metric, g in zip(self.dense_metrics(), gradients, strict=True)]


def metric_cases() -> Iterator[Case]:
    """`metric …`, `batch mean` and `mass …`: the metrics themselves.

    One layer covers most; several layers follow where the pullback through them differs.
    """
    for metric, ranks in METRICS.items():
        for loss in LOSSES[:1] if metric == "true_vs_rest" else LOSSES:
            for rank in ranks:
                yield Question("one layer", loss, metric, rank).metric_case(f"metric {metric}")
                if loss == "cross_entropy":
                    yield Question("one layer", loss, metric, rank, batch="mean").metric_case("batch mean")
        yield Question("residual", "cross_entropy", metric, 3).metric_case(f"metric {metric}")
    yield Question("residual", "binary_cross_entropy", batch="mean").metric_case("batch mean")
    yield Question("branches").metric_case("metric ggn")
    yield Question("one layer", metric="true_vs_rest", scale=4.0).metric_case("metric true_vs_rest")
    for mass, kind in _MASSES.items():
        for network in ("one layer", "no bias"):
            yield Question(network, metric="empirical_fisher", mass=mass).metric_case(f"mass {kind}")
    for metric, rank in (("ggn", 1), ("ggn_mc", 3), ("true_vs_rest", 1)):
        yield Question("strided images", metric=metric, rank=rank, mass="pair").metric_case(f"metric {metric}")
        yield Question("strided images", metric=metric, rank=rank, mass="mapping", batch="mean").metric_case(
            "batch mean"
        )


def solver_cases() -> Iterator[Case]:
    """`convolutions`; `solver …`, every solver with every mass that it can use, and every kind of rows."""
    for network in CONVOLUTIONS:
        question = Question(network)
        yield Case("convolutions", str(question), question.directions, question.dense_directions)
    for solver in ("auto", "gram", "rows", "dense", "inverse"):
        masses = [mass for mass, kind in _MASSES.items() if (solver, kind) != ("gram", "diagonal")]
        questions = [Question("one layer", mass=mass, solver=solver) for mass in masses]
        questions += [
            Question("one layer", metric="true_vs_rest", mass="pair", solver=solver),
            Question("one layer", metric="ggn_mc", rank=3, mass="pair", solver=solver),
            Question("one layer", mass="pair", batch="mean", solver=solver),
            Question("no bias", mass="pair", solver=solver),
            Question("strided images", metric="true_vs_rest", mass="list", solver=solver),
            Question("strided images", mass="pair", solver=solver),
            *(Question("strided images", mass=mass, solver=solver) for mass in masses if mass == "mapping"),
        ]
        for question in questions:
            yield Case(f"solver {solver}", str(question), question.directions, question.dense_directions)
    for question in _one_channel_at_a_time():
        yield Case("solver gram", str(question), question.bounded_directions, question.dense_directions)


def _one_channel_at_a_time() -> Iterator[Question]:
    """Questions with an empty workspace; the default one holds all channels of such small examples."""
    for metric in ("ggn", "true_vs_rest"):
        yield Question("strided images", metric=metric, mass="pair", solver="gram", workspace_bytes=0)
    yield Question("strided images", mass="pair", batch="mean", solver="gram", workspace_bytes=0)
    yield Question("largest pixels", solver="gram", workspace_bytes=0)
