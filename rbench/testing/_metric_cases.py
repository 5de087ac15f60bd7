"""Cases of layer metrics and of the solvers."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rbench.api import layer_metrics, riemannian_gradient
from rbench.backend import Backend
from rbench.metrics import Treatment
from rbench.random import generator
from rbench.testing import oracle
from rbench.testing._examples import FIXED, LOSSES, SEED, example
from rbench.testing._networks import Numbers
from rbench.testing.case import Arrays, Case, native, on_host

_METRICS = {
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
class _Question:
    """The arguments of `rbench.riemannian_gradient`, asked of a backend and of the oracle."""

    network: str
    loss: str = "cross_entropy"
    metric: str = "ggn"
    rank: int = 1
    mass: str = "scalar"
    batch: Treatment = "stack"
    solver: str = "auto"
    scale: float = 1.0

    def __str__(self) -> str:
        words = [self.network, self.loss, self.metric + (f" rank {self.rank}" if self.metric == "ggn_mc" else "")]
        return ", ".join([*words, f"mass {self.mass}", self.batch, *(["confident"] if self.scale > 1 else [])])

    @property
    def output_metric(self) -> Any:
        return np.asarray(FIXED) if self.metric == "fixed" else self.metric

    def draw_mass(self) -> Any:
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

    One layer asks most; several layers follow where the pullback through them differs.
    """

    def case(check: str, question: _Question) -> Case:
        return Case(check, str(question), question.metrics, question.dense_metrics)

    for metric, ranks in _METRICS.items():
        for loss in LOSSES[:1] if metric == "true_vs_rest" else LOSSES:
            for rank in ranks:
                yield case(f"metric {metric}", _Question("one layer", loss, metric, rank))
                if loss == "cross_entropy":
                    yield case("batch mean", _Question("one layer", loss, metric, rank, batch="mean"))
        yield case(f"metric {metric}", _Question("residual", "cross_entropy", metric, 3))
    yield case("batch mean", _Question("residual", "binary_cross_entropy", batch="mean"))
    yield case("metric ggn", _Question("branches"))
    yield case("metric true_vs_rest", _Question("one layer", metric="true_vs_rest", scale=4.0))
    for mass, kind in _MASSES.items():
        for network in ("one layer", "no bias"):
            yield case(f"mass {kind}", _Question(network, metric="empirical_fisher", mass=mass))


def solver_cases() -> Iterator[Case]:
    """`solver …`: every solver with every mass that it serves, and with every way that rows come in."""
    for solver in ("auto", "gram", "rows", "dense", "inverse"):
        questions = [
            _Question("one layer", mass=mass, solver=solver)
            for mass, kind in _MASSES.items()
            if (solver, kind) != ("gram", "diagonal")
        ]
        questions += [
            _Question("one layer", metric="true_vs_rest", mass="pair", solver=solver),
            _Question("one layer", metric="ggn_mc", rank=3, mass="pair", solver=solver),
            _Question("one layer", mass="pair", batch="mean", solver=solver),
            _Question("no bias", mass="pair", solver=solver),
        ]
        for question in questions:
            yield Case(f"solver {solver}", str(question), question.directions, question.dense_directions)
