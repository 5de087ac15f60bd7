"""Masses of a method: fixed, or made of running averages of the metric's rows over steps."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rbench.backend import Array
from rbench.methods import kronecker
from rbench.methods.curved import added, scaled, zero_weights
from rbench.methods.operations import LayerWork
from rbench.metrics import AnyMass, DiagonalMass, FactoredMass, Problem, layer_masses
from rbench.modules import LayerPullback, Weights
from rbench.modules.pullback import as_matrix, as_weights
from rbench.solvers import LayerSize
from rbench.solvers.base import AnyGradient, formed_gradient


class MassRule(ABC):
    """How the masses of all layers come about.

    Attributes:
        remembers: whether they are made of running averages.
    """

    remembers: bool = True

    @abstractmethod
    def first(self, problem: Problem) -> Any:
        """The averages before the first step."""

    @abstractmethod
    def updated(self, problem: Problem, layers: Sequence[LayerPullback], averages: Any, decay: Any) -> Any:
        """ρ times the averages and 1 − ρ times those of a batch, to whose layers the metric was pulled back."""

    @abstractmethod
    def masses(self, problem: Problem, averages: Any) -> list[AnyMass]:
        """The mass of every layer."""

    @abstractmethod
    def kinds(self, problem: Problem) -> list[AnyMass]:
        """Masses of the same kinds, to plan with."""

    @abstractmethod
    def update_operations(self, work: LayerWork, data: int, rank: int) -> float:
        """Pairs of an update at a layer, with so many rows for each of the data."""

    @abstractmethod
    def numbers(self, problem: Problem, sizes: Sequence[LayerSize]) -> float:
        """Numbers held at once of averages and their update, with rows of these sizes."""

    def gradient(
        self, problem: Problem, parts: Sequence[LayerPullback], mass: Any, given: Weights | None
    ) -> AnyGradient:
        """The gradient at a layer: the one that is given, or that of a batch in parts."""
        return formed_gradient(problem.backend, given or added(*(part.gradient() for part in parts)), mass)

    def solve_operations(self, work: LayerWork, batch: int) -> float:
        """Pairs of M⁻¹g beside one weight product."""
        return 0.0


@dataclass(frozen=True)
class FixedMass(MassRule):
    """Masses as `layer_masses` reads them."""

    given: Any
    remembers = False

    def first(self, problem: Problem) -> Any:
        return ()

    def updated(self, problem: Problem, layers: Sequence[LayerPullback], averages: Any, decay: Any) -> Any:
        return ()

    def masses(self, problem: Problem, averages: Any) -> list[AnyMass]:
        return list(layer_masses(problem.backend, problem.net.layers, self.given))

    def kinds(self, problem: Problem) -> list[AnyMass]:
        return self.masses(problem, ())

    def update_operations(self, work: LayerWork, data: int, rank: int) -> float:
        return 0.0

    def numbers(self, problem: Problem, sizes: Sequence[LayerSize]) -> float:
        return 0.0


@dataclass(frozen=True)
class RunningDiagonal(MassRule):
    """M_l = λ + E[diag V_lᵀV_l], positions that share weights taken as rows of their own."""

    damping: float

    def first(self, problem: Problem) -> Any:
        return zero_weights(problem)

    def updated(self, problem: Problem, layers: Sequence[LayerPullback], averages: Any, decay: Any) -> Any:
        pairs = zip(layers, averages, strict=True)
        return tuple(added(scaled(decay, old), scaled(1 - decay, layer.squares())) for layer, old in pairs)

    def masses(self, problem: Problem, averages: Any) -> list[AnyMass]:
        return [
            DiagonalMass(weight + self.damping, (0 * weight[:, 0] if bias is None else bias) + self.damping)
            for weight, bias in averages
        ]

    def kinds(self, problem: Problem) -> list[AnyMass]:
        return [DiagonalMass((), ()) for _ in problem.net.layers]

    def update_operations(self, work: LayerWork, data: int, rank: int) -> float:
        return float(data * work.weights)

    def numbers(self, problem: Problem, sizes: Sequence[LayerSize]) -> float:
        squares = [size.points * (size.rank + 1) * size.fan_out + _windows(size) for size in sizes]
        return 3.0 * sum(layer.n_parameters for layer in problem.net.layers) + max(squares)


@dataclass(frozen=True)
class RunningKronecker(MassRule):
    """M_l = (G_l + √λ/π I) ⊗ (A_l + π√λ I), the factors and damping of K-FAC.

    Attributes:
        damping: λ.
    """

    damping: float

    def first(self, problem: Problem) -> Any:
        return kronecker.zero_factors(problem.backend, problem.net.layers)

    def updated(self, problem: Problem, layers: Sequence[LayerPullback], averages: Any, decay: Any) -> Any:
        found, _ = kronecker.refreshed(problem.backend, layers, averages, decay, self.damping, "inverse")
        return found

    def masses(self, problem: Problem, averages: Any) -> list[AnyMass]:
        return [FactoredMass(outputs=g.matrix, inputs=a.matrix) for a, g in averages]

    def kinds(self, problem: Problem) -> list[AnyMass]:
        return [FactoredMass((), ()) for _ in problem.net.layers]

    def update_operations(self, work: LayerWork, data: int, rank: int) -> float:
        return kronecker.refresh_operations(work.layer, data * work.positions, rank, "inverse")

    def numbers(self, problem: Problem, sizes: Sequence[LayerSize]) -> float:
        factors = [layer.width**2 + layer.fan_out**2 for layer in problem.net.layers]
        return 4.0 * sum(factors) + 3 * max(factors) + max(map(_windows, sizes))

    def gradient(
        self, problem: Problem, parts: Sequence[LayerPullback], mass: Any, given: Weights | None
    ) -> AnyGradient:
        backend = problem.backend
        bias = parts[0].bias
        product = (None, as_matrix(backend, given)) if given else kronecker.gradient_product(backend, parts)

        def formed() -> Weights:
            left, right = product
            return as_weights(right if left is None else left.T @ right, bias=bias)

        def by_mass() -> Weights:
            return as_weights(kronecker.solve_inverse(mass.inputs, mass.outputs, product), bias=bias)

        def slope(direction: Weights) -> Array:
            return kronecker.slope(backend, product, as_matrix(backend, direction))

        return AnyGradient(formed, by_mass, slope)

    def solve_operations(self, work: LayerWork, batch: int) -> float:
        return kronecker.solve_operations(work.layer, batch * work.positions, "inverse")


def _windows(size: LayerSize) -> float:
    """Numbers of a convolution's windows."""
    return float(size.points * size.fan_in) if size.positions > 1 else 0.0
