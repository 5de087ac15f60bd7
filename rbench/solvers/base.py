"""Solvers: one or more forms of `factor` and `solve`, all of which compute the same Δ = G⁻¹g."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial, reduce
from operator import add
from typing import NamedTuple

from rbench.backend import Array, Backend
from rbench.metrics import AnyMass, Mass
from rbench.modules import LayerPullback, Weights
from rbench.modules.inputs import Inputs
from rbench.solvers.cost import Cost, LayerSize


class Direction(NamedTuple):
    """A layer's direction Δ = G⁻¹g.

    Attributes:
        weights: Δ.
        slope: computes gᵀΔ, a scalar: by how much the loss falls, to first order, for each unit of the rate.
        health: a scalar that is not finite where the matrix could not be factored.
    """

    weights: Weights
    slope: Callable[[], Array]
    health: Array


class AnyGradient(NamedTuple):
    """A layer's gradient g for any data, as what a solve asks of it.

    Attributes:
        formed: computes g itself.
        by_mass: computes M⁻¹g.
        slope: computes gᵀΔ, a scalar, given Δ.
    """

    formed: Callable[[], Weights]
    by_mass: Callable[[], Weights]
    slope: Callable[[Weights], Array]


class RowPoints(NamedTuple):
    """Rows Σ_t cotangents[e, k, t] ⊗ inputs[e, t] of matrices.

    Attributes:
        inputs: (examples, positions, fan_in [+1]), the bias's 1 last.
        cotangents: (examples, rank, positions, fan_out).
    """

    inputs: Array
    cotangents: Array


class Factored(NamedTuple):
    """A factored metric, as arrays alone so that a method can keep it between steps.

    Attributes:
        matrix: the Cholesky factor of the capacitance (rows, rows) or of the metric (n, n), or the metric's inverse.
        data: `Inputs.data` of V's inputs; empty where `matrix` is made from the metric.
        rows: cotangents of V's rows, (examples, rank, positions, fan_out); empty where `data` is.
        by_mass: M⁻¹Vᵀ, for a mass M with factors; else nothing.
    """

    matrix: Array
    data: Array
    rows: Array
    by_mass: RowPoints | tuple[()] = ()


class Form(ABC):
    """One way to compute Δ = (M + VᵀV)⁻¹g.

    Attributes:
        name: the name of the solver that it belongs to.
    """

    name: str

    @abstractmethod
    def cost(self, size: LayerSize) -> Cost:
        """The predicted cost for a layer."""

    @abstractmethod
    def factor(self, backend: Backend, layer: LayerPullback, mass: AnyMass) -> Factored:
        """Factor the metric of a layer to which the loss and the metric were pulled back; `mass` is M."""

    @abstractmethod
    def solve(
        self, backend: Backend, factored: Factored, source: Inputs, mass: AnyMass, gradient: AnyGradient
    ) -> Direction:
        """Δ for any gradient g, with a factored metric and the mass M that it was factored with.

        `source` is the layer's inputs for any examples; the data of the factored metric are read in the same way.
        """

    def direction(self, backend: Backend, layer: LayerPullback, mass: Mass) -> Direction:
        """Δ for the gradient that was pulled back together with the metric."""
        gradient = formed_gradient(backend, layer.gradient(), mass)
        return self.solve(backend, self.factor(backend, layer, mass), layer.source, mass, gradient)


def formed_gradient(backend: Backend, gradient: Weights, mass: Mass) -> AnyGradient:
    """A gradient that is at hand."""
    weight, bias = gradient

    def by_mass() -> Weights:
        of_weight, of_bias = mass.entries(0, weight.shape[0])
        return weight / of_weight, None if bias is None else bias / of_bias

    return AnyGradient(lambda: gradient, by_mass, partial(inner_product, backend, gradient))


def inner_product(backend: Backend, gradient: Weights, direction: Weights) -> Array:
    """gᵀΔ, a scalar."""
    xp = backend.xp
    pairs = zip(gradient, direction, strict=True)
    return sum(xp.vecdot(xp.reshape(g, (-1,)), xp.reshape(d, (-1,))) for g, d in pairs if g is not None)


def solve_cholesky(backend: Backend, lower: Array, rhs: Array) -> Array:
    """Solve L Lᵀ X = B for X (n, k), given L (n, n) and B (n, k)."""
    return backend.solve_triangular(lower, backend.solve_triangular(lower, rhs), transpose=True)


def health_of(*matrices: Array) -> Array:
    """A scalar that is not finite where one of the Cholesky factors or inverses failed, and so is all NaN."""
    return reduce(add, (matrix[0, 0] + matrix[-1, -1] for matrix in matrices))
