"""Pairs of trainings that are compared: of S and S', by the flow or with weight decay; or two starts on S."""

from abc import abstractmethod
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from rbench.backend import Backend
from rbench.experiment import Report
from rbench.spec import Configurable
from rbench.theory.flow import Vector, flat
from rbench.theory.stability.comparison import Comparison
from rbench.theory.stability.tasks import Task
from rbench.theory.stability.training import Indices, Linearise, Training, linearise

MOMENTS = 40
"""Times at which runs are looked at besides 0 and 1, a geometric sequence."""

Metric: TypeAlias = Literal["ggn"] | None
"""The GGN metric and the mass, or the mass alone."""


class Pair(Configurable):
    """Two trainings whose outputs are compared.

    Attributes:
        mass: μ.
    """

    mass: float = Field(1.0, gt=0)

    @property
    @abstractmethod
    def length(self) -> float:
        """T, the time at which both end; above 1."""

    @property
    def times(self) -> Vector:
        """Times at which they are compared, (times,)."""
        return np.concatenate([[0], np.unique([*np.geomspace(0.01, self.length, MOMENTS), 1.0])])

    @abstractmethod
    def measure(self, task: Task, backend: Backend, n: int, seed: int, report: Report) -> dict[str, float]:
        """Train both on n data, and compute the figures of the cell, by name."""


class Exchange(Pair):
    """A training on S and one on S', which has another datum in place of one, from the same weights.

    Attributes:
        exchanges: how many data are exchanged, one at a time; the figures are those of the largest distance.
    """

    exchanges: int = Field(1, ge=1)

    @abstractmethod
    def training(self, module: Linearise, y: Vector, data: Indices, first: Indices) -> Training:
        """The training on some data; S is the first of them."""

    @abstractmethod
    def figures(self, found: Comparison) -> dict[str, float]:
        """Figures of one exchange besides its distances."""

    def measure(self, task: Task, backend: Backend, n: int, seed: int, report: Report) -> dict[str, float]:
        count = min(self.exchanges, n)
        x, y = task.data(n, count, seed)
        module = linearise(backend, task.network, x)
        start = flat(backend, task.network.init(backend, seed))
        first = np.arange(n)
        one = self.training(module, y, first, first).run(start, self.times)
        found: list[dict[str, float]] = []
        for index in range(count):
            report(index + 1, count + 1)
            data = np.where(first == index, n + index, first)
            other = self.training(module, y, data, first).run(start, self.times)
            comparison = Comparison(self.times, one, other, n, (index, n + index), self.mass)
            found.append(distances(comparison) | self.figures(comparison))
        return max(found, key=lambda figures: figures["distance"])


class Flow(Exchange):
    """The gradient flow under a metric, until a time T.

    Attributes:
        metric: `ggn`, or none for the mass alone.
        common: whether the flow on S' has the metric built on S too, in place of its own, built on S'.
        seconds: T.
    """

    name: ClassVar[str] = "flow"
    summary: ClassVar[str] = "gradient flows on S and on S', which has another datum in place of one"
    always: ClassVar[tuple[str, ...]] = ("metric", "mass")
    metric: Metric = "ggn"
    common: bool = False
    seconds: float = Field(200.0, gt=1)

    @model_validator(mode="after")
    def _a_common_metric_is_built_on_data(self) -> "Flow":
        if self.common and self.metric is None:
            raise ValueError("metric=none is built on no data, so it has nothing in common: leave common out")
        return self

    @property
    def length(self) -> float:
        return self.seconds

    def training(self, module: Linearise, y: Vector, data: Indices, first: Indices) -> Training:
        pulled = None if self.metric is None else first if self.common else data
        return Training(module, y, data, pulled, self.mass, kernels=True)

    def figures(self, found: Comparison) -> dict[str, float]:
        assert found.exchanged is not None
        left_out, _ = found.exchanged
        return {
            **of_kernels(found),
            **of_bound(found, found.rate),
            "disturbance": found.disturbance,
            "left_out": float(abs(found.other.residuals[-1, left_out])),
        }


class Regularised(Exchange):
    """The flow ẇ = −∇E/μ − αw until t = 10/α.

    Attributes:
        alpha: α.
    """

    name: ClassVar[str] = "regularised"
    summary: ClassVar[str] = "flows with weight decay on S and on S'"
    always: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: float = Field(0.1, gt=0, lt=10)
    exchanges: int = Field(4, ge=1)

    @property
    def length(self) -> float:
        return 10 / self.alpha

    def training(self, module: Linearise, y: Vector, data: Indices, first: Indices) -> Training:
        return Training(module, y, data, None, self.mass, self.alpha)

    def figures(self, found: Comparison) -> dict[str, float]:
        per_datum = float(np.abs(found.changes[-1]).max())
        compared = of_bound(found, self.alpha)
        return {
            **compared,
            "per_datum": per_datum,
            "per_datum_ratio": per_datum / (compared["bound"] / found.n**0.5),
        }


class TwoStarts(Pair):
    """The gradient flow on S under a metric, until a time T, from two draws of the weights.

    Attributes:
        metric: `ggn`, or none for the mass alone.
        seconds: T.
    """

    name: ClassVar[str] = "two-starts"
    summary: ClassVar[str] = "gradient flows on S from two draws of the weights"
    always: ClassVar[tuple[str, ...]] = ("metric", "mass")
    metric: Metric = "ggn"
    seconds: float = Field(200.0, gt=1)

    @property
    def length(self) -> float:
        return self.seconds

    def measure(self, task: Task, backend: Backend, n: int, seed: int, report: Report) -> dict[str, float]:
        x, y = task.data(n, 0, seed)
        module = linearise(backend, task.network, x)
        all_data = np.arange(n)
        pulled = None if self.metric is None else all_data
        training = Training(module, y, all_data, pulled, self.mass, kernels=True)
        runs = []
        for draw in (seed, seed + 2**32):
            runs.append(training.run(flat(backend, task.network.init(backend, draw)), self.times))
            report(len(runs), 2)
        one, other = runs
        found = Comparison(self.times, one, other, n, None, self.mass)
        weights = np.linalg.norm(other.weights - one.weights, axis=1)
        return {
            **of_kernels(found),
            "contraction": found.largest_share(np.exp(-found.rate * found.times) * found.distances[0]),
            "outputs_apart": float(found.distances[-1] / found.distances[0]),
            "weights_apart": float(weights[-1] / weights[0]),
        }


def distances(found: Comparison) -> dict[str, float]:
    """Figures of the distance."""
    return {
        "distance": float(found.distances[-1]),
        "distance_at_1": float(found.distances[np.searchsorted(found.times, 1.0)]),
    }


def of_kernels(found: Comparison) -> dict[str, float]:
    """Figures that are made of the kernels Θ of both runs."""
    return {
        "xi": found.rate,
        "xi_share": found.rate * found.n * found.mass / found.lipschitz**2,
        "largest_eigenvalue": float(found.eigenvalues[:, -1].max()),
        "kernel_difference": found.kernel_difference,
        "bound_a": float(found.bound_a[-1]),
        "ratio_a": found.largest_share(found.bound_a),
        "bound_b": float(found.bound_b[-1]),
        "ratio_b": found.largest_share(found.bound_b),
    }


def of_bound(found: Comparison, rate: float) -> dict[str, float]:
    """Figures of the bound 2κ²L / (rate · μ√n): the distance at the end over it, and it over 2L√n."""
    bound = found.bound(rate)
    return {
        "bound": bound,
        "ratio": float(found.distances[-1]) / bound,
        "trivial_bound": found.trivial_bound,
        "bound_over_trivial": bound / found.trivial_bound,
    }


PAIRS: tuple[type[Pair], ...] = (Flow, Regularised, TwoStarts)
