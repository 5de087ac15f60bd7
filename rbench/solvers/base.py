"""What a solver is: one way to compute Δ = G⁻¹ g for a layer. All solvers are the same function."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from rbench.backend import Array, Backend
from rbench.metrics import KroneckerMass, LayerRows, Mass


class Direction(NamedTuple):
    """A layer's direction Δ = G⁻¹ g.

    Attributes:
        weight: (fan_out, fan_in).
        bias: (fan_out,); meaningless for a layer without bias.
        slope: computes gᵀΔ, a scalar: by how much the loss falls, to first order, for each unit of the rate.
        health: a scalar that is not finite where the matrix could not be factored.
    """

    weight: Array
    bias: Array
    slope: Callable[[], Array]
    health: Array


@dataclass(frozen=True)
class LayerSize:
    """The sizes that a solver's cost depends on.

    Attributes:
        samples: data, or 1 where the batch is treated by its mean.
        positions: positions of a sample.
        rank: rows of V for each sample.
        fan_in: inputs a position, without the bias's 1.
        fan_out: outputs a position.
        bias: whether there is a bias.
        rescaled: whether V's rows are the gradient's, rescaled.
    """

    samples: int
    positions: int
    rank: int
    fan_in: int
    fan_out: int
    bias: bool
    rescaled: bool = False

    @property
    def rows(self) -> int:
        """Rows of V."""
        return self.samples * self.rank

    @property
    def n(self) -> int:
        """Numbers in the layer's block."""
        return self.fan_out * (self.fan_in + self.bias)

    @classmethod
    def of(cls, rows: LayerRows) -> "LayerSize":
        """The sizes of rows at hand."""
        samples, positions, fan_in = rows.source.shape
        rescaled = rows.scale is not None
        rank = 1 if rescaled else rows.rows.shape[1] - 1
        return cls(samples, positions, rank, fan_in, rows.rows.shape[3], rows.bias, rescaled)


class Solver(ABC):
    """One way to compute Δ = (M + VᵀV)⁻¹ g (Lemma 1 and eqs. 2-3 of arXiv 2603.03610).

    Attributes:
        name: how the solver is asked for.
    """

    name: str

    def serves(self, mass: Mass) -> bool:
        """Whether the solver can use a mass of this structure."""
        return True

    @abstractmethod
    def operations(self, size: LayerSize) -> float:
        """Predicted multiplications and additions beyond the pullback, counted as pairs."""

    @abstractmethod
    def numbers(self, size: LayerSize) -> float:
        """Predicted numbers held at once beyond the pulled-back rows; times the dtype's size, bytes."""

    @abstractmethod
    def solve(self, backend: Backend, rows: LayerRows, mass: Mass, workspace_bytes: float) -> Direction:
        """Compute the direction of one layer; what need not be held at once is kept below `workspace_bytes`."""


def corrected(backend: Backend, rows: LayerRows, solution: Array, mass: Array | float = 1.0) -> Array:
    """(γ − Σ_k c_k F_k) / mass, (samples, positions, fan_out), of which M Δ is the weight product for a mass of 1.

    Args:
        backend: the arrays' backend.
        rows: with γ and F.
        solution: c = K⁻¹ V M⁻¹ g, (rows,), samples first.
        mass: of the outputs, (fan_out,) or a number.
    """
    xp = backend.xp
    # A number divides the coefficients, which are fewer than the cotangents.
    number = mass if isinstance(mass, float) else 1.0
    if rows.scale is not None:
        result = rows.gradient_rows * ((1 - solution * rows.scale) / number)[:, None, None]
    else:
        samples, count, positions, fan_out = rows.rows.shape
        coefficients = xp.reshape(solution, (samples, count - 1))
        weights = xp.concat([xp.ones_like(coefficients[:, :1]), -coefficients], axis=1) / number
        flat = weights[:, None, :] @ xp.reshape(rows.rows, (samples, count, positions * fan_out))
        result = xp.reshape(flat, (samples, positions, fan_out))
    return result if isinstance(mass, float) else result / mass


def is_kronecker(mass: Mass) -> bool:
    """Whether the mass is scalar or separable."""
    return isinstance(mass, KroneckerMass)
