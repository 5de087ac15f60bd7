"""Cases of layer metrics and of the solvers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rbench.api import layer_metrics, riemannian_gradient
from rbench.backend import Backend
from rbench.losses import get_loss
from rbench.losses.dense import Numbers
from rbench.metrics import Batch, Problem, Treatment, get_output_metric, layer_masses, pull_metric
from rbench.random import generator
from rbench.solvers import Coupling, NetworkSolver, gathered
from rbench.testing import oracle
from rbench.testing._examples import CONVOLUTIONS, FIXED, LOSSES, SEED, Example, example
from rbench.testing.case import Arrays, Case, native, native_targets, on_host

METRICS = ("ggn", "ggn_mc", "identity", "empirical_fisher", "true_vs_rest", "fixed")
"""Output metrics."""

_MASSES = {
    "scalar": "scalar",
    "list": "scalar",
    "pair": "separable",
    "full": "diagonal",
    "flat": "diagonal",
    "mapping": "diagonal",
}
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
    coupling: Coupling = "layer"

    def __str__(self) -> str:
        samples = self.metric != "fixed" and get_output_metric(self.metric).samples
        words = [self.network, self.loss, self.metric + (f" rank {self.rank}" if samples else "")]
        if self.workspace_bytes is not None:
            words.append(f"workspace {self.workspace_bytes:g}")
        return ", ".join([*words, f"mass {self.mass}", self.batch, *(["confident"] if self.scale > 1 else [])])

    @property
    def given(self) -> Example:
        """The network and its data."""
        return example(self.network, self.scale)

    @property
    def output_metric(self) -> Any:
        """The metric as `rbench.riemannian_gradient` takes it."""
        return np.asarray(FIXED) if self.metric == "fixed" else self.metric

    def draw_mass(self) -> Any:
        """The mass in the form that `mass` names."""
        return oracle.draw_mass(self.mass, self.given.net.layers, generator(SEED, "data", 3))

    def arguments(self, backend: Backend) -> dict[str, Any]:
        """All arguments for a backend."""
        given = self.given
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
        if self.workspace_bytes is None:
            return on_host(backend, riemannian_gradient(**self.arguments(backend), coupling=self.coupling))
        return self._bounded_directions(backend, self.workspace_bytes)

    def _bounded_directions(self, backend: Backend, workspace_bytes: float) -> Arrays:
        """`directions` within a workspace per layer, for a metric that draws no samples."""
        net = self.given.net
        params = native(backend, self.given.params)
        loss = get_loss(self.loss)
        x = tuple(map(backend.asarray, self.given.x))
        y = native_targets(backend, loss, self.given.targets[self.loss])
        metric = get_output_metric(self.output_metric)
        masses = layer_masses(backend, net.layers, self.draw_mass())
        with backend.inference():
            _, pulled = pull_metric(Problem(backend, net, loss), params, Batch(x, y), metric, self.batch)
            solver = NetworkSolver(self.solver, workspace_bytes, self.coupling)
            update = gathered(backend, net.layers, solver.directions(backend, pulled, masses))
        return on_host(backend, update.blocks)

    def dense_metrics(self) -> list[Numbers]:
        """`metrics`, by the oracle."""
        given = self.given
        y = given.targets[self.loss]
        outputs = oracle.output_metrics(self.output_metric, self.loss, given.outputs, y, self.rank, SEED)
        diagonals = oracle.mass_diagonals(self.draw_mass(), given.net.layers)
        return [
            oracle.layer_metric(jacobian, outputs, diagonal, self.batch)
            for jacobian, diagonal in zip(given.jacobians, diagonals, strict=True)
        ]

    def dense_directions(self) -> list[Numbers]:
        """`directions`, by the oracle."""
        gradients = self.given.loss_gradients(self.loss)
        if self.coupling == "network":
            return self._dense_network_direction(gradients)
        return [np.linalg.solve(metric, g) for metric, g in zip(self.dense_metrics(), gradients, strict=True)]

    def _dense_network_direction(self, gradients: list[Numbers]) -> list[Numbers]:
        """The direction of the whole network's metric, cut into layers."""
        given = self.given
        y = given.targets[self.loss]
        outputs = oracle.output_metrics(self.output_metric, self.loss, given.outputs, y, self.rank, SEED)
        diagonal = np.concatenate(oracle.mass_diagonals(self.draw_mass(), given.net.layers))
        metric = oracle.layer_metric(np.concatenate(given.jacobians, axis=2), outputs, diagonal, self.batch)
        direction = np.linalg.solve(metric, np.concatenate(gradients))
        return np.split(direction, np.cumsum([len(g) for g in gradients])[:-1])

    def metric_case(self, check: str) -> Case:
        """The case of `metrics`."""
        return Case(check, str(self), self.metrics, self.dense_metrics)

    def direction_case(self, check: str) -> Case:
        """The case of `directions`."""
        return Case(check, str(self), self.directions, self.dense_directions)


def metric_cases() -> Iterator[Case]:
    """`metric …`, `batch mean` and `mass …`: the metrics themselves.

    One layer covers most; several layers follow where the pullback through them differs.
    """
    for metric in METRICS:
        for loss in LOSSES[:1] if metric == "true_vs_rest" else LOSSES:
            for rank in (1, 3) if metric == "ggn_mc" else (1,):
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
        yield Question(network).direction_case("convolutions")
    for solver in ("auto", "gram", "rows", "dense", "inverse"):
        masses = [mass for mass, kind in _MASSES.items() if (solver, kind) != ("gram", "diagonal")]
        questions = [
            *(Question("one layer", mass=mass, solver=solver) for mass in masses),
            Question("one layer", metric="true_vs_rest", mass="pair", solver=solver),
            Question("one layer", metric="ggn_mc", rank=3, mass="pair", solver=solver),
            Question("one layer", mass="pair", batch="mean", solver=solver),
            Question("no bias", mass="pair", solver=solver),
            Question("strided images", metric="true_vs_rest", mass="list", solver=solver),
            Question("strided images", mass="pair", solver=solver),
            Question("jets", mass="pair", solver=solver),
            *(Question("strided images", mass=mass, solver=solver) for mass in masses if mass == "mapping"),
        ]
        for question in questions:
            yield question.direction_case(f"solver {solver}")
    for question in (
        *(Question("residual", mass=mass, coupling="network") for mass in ("scalar", "list", "full")),
        Question("branches", metric="ggn_mc", rank=3, coupling="network"),
        Question("residual", metric="true_vs_rest", solver="rows", coupling="network"),
        Question("residual", mass="list", batch="mean", coupling="network"),
        Question("strided images", mass="list", coupling="network"),
        Question("jets", "squared_error", mass="list", coupling="network"),
        Question("strided images", mass="list", coupling="network", solver="gram", workspace_bytes=0),
    ):
        yield question.direction_case("coupled layers")
    # With an empty workspace, one channel at a time; the default one holds all channels of such small examples.
    for question in (
        Question("strided images", mass="pair", solver="gram", workspace_bytes=0),
        Question("strided images", metric="true_vs_rest", mass="pair", solver="gram", workspace_bytes=0),
        Question("strided images", mass="pair", batch="mean", solver="gram", workspace_bytes=0),
        Question("largest pixels", solver="gram", workspace_bytes=0),
    ):
        yield question.direction_case("solver gram")
