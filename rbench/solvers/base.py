"""Solvers: one or more forms of `factor` and `solve`, all of which compute the same Δ = G⁻¹g."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from rbench.backend import Array, Backend
from rbench.metrics import KroneckerMass, Mass
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


class Kept(NamedTuple):
    """A factored metric as arrays alone, so that a method can keep it between steps.

    Attributes:
        matrix: the Cholesky factor of the capacitance (rows, rows) or of the metric (n, n), or the metric's inverse.
        data: `Inputs.data` of V's inputs; empty where `matrix` is made from the metric.
        rows: cotangents of V's rows, (samples, rank, positions, fan_out); empty where `data` is.
    """

    matrix: Array
    data: Array
    rows: Array


class Factored(NamedTuple):
    """G Δ = g for one layer, with G factored.

    Attributes:
        solve: computes Δ.
        keep: returns the factored metric as arrays.
    """

    solve: Callable[[], Direction]
    keep: Callable[[], Kept]


class Form(Cost):
    """One way to compute Δ = (M + VᵀV)⁻¹g.

    Attributes:
        name: the name of the solver that it belongs to.
    """

    name: str

    @abstractmethod
    def factor(self, backend: Backend, layer: LayerPullback, mass: Mass, gradient: Weights | None = None) -> Factored:
        """Factor the metric of one layer.

        Args:
            backend: the arrays' backend.
            layer: the layer, with the loss and the metric pulled back to it.
            mass: M.
            gradient: g, if it is not the one that was pulled back together with the metric.
        """

    @abstractmethod
    def restore(self, backend: Backend, kept: Kept, source: Inputs, mass: Mass, gradient: Weights) -> Factored:
        """Use a kept metric with another gradient.

        Args:
            backend: the arrays' backend.
            kept: what `Factored.keep` returned.
            source: the layer's inputs for any samples; the kept data are read in the same way.
            mass: M, as when it was factored.
            gradient: g.
        """


@dataclass(frozen=True)
class Solver:
    """A choice of forms.

    Attributes:
        name: the name by which users choose the solver.
        forms: returns the forms for a layer's sizes and a workspace, in numbers held at once.
        kronecker: whether the mass must be scalar or separable.
    """

    name: str
    forms: Callable[[LayerSize, float], list[Form]]
    kronecker: bool = False

    def serves(self, mass: Mass) -> bool:
        """Whether the solver can use a mass of this structure."""
        return not self.kronecker or isinstance(mass, KroneckerMass)


def inner_product(backend: Backend, gradient: Weights, direction: Weights) -> Array:
    """gᵀΔ, a scalar."""
    pairs = zip(gradient, direction, strict=True)
    return sum(backend.xp.sum(g * d) for g, d in pairs if g is not None)
