"""What a solver is: a choice of ways to compute Δ = G⁻¹ g for a layer. All of them are the same function."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from rbench.backend import Array, Backend
from rbench.metrics import KroneckerMass, LayerRows, Mass
from rbench.modules.inputs import Inputs

Block: TypeAlias = tuple[Array, Array | None]
"""A layer's weight (fan_out, fan_in) and bias (fan_out,), None without bias."""


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


class Factored(NamedTuple):
    """A layer's metric ready to be solved with; arrays alone, so that a method can keep it between steps.

    Attributes:
        matrix: the Cholesky factor of the capacitance (rows, rows) or of the metric (n, n), or the metric's inverse.
        data: `Inputs.data` of V's inputs; empty where the matrix is the metric's.
        rows: cotangents of V's rows, (samples, rank, positions, fan_out); likewise.
        health: a scalar that is not finite where the matrix could not be factored.
    """

    matrix: Array
    data: Array
    rows: Array
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


class Form(ABC):
    """One way to compute Δ = (M + VᵀV)⁻¹ g (Lemma 1 and eqs. 2-3 of arXiv 2603.03610).

    Attributes:
        name: of the solver whose form it is.
    """

    name: str

    @abstractmethod
    def operations(self, size: LayerSize) -> float:
        """Predicted multiplications and additions beyond the pullback, counted as pairs."""

    @abstractmethod
    def numbers(self, size: LayerSize) -> float:
        """Predicted numbers held at once beyond inputs, pulled-back rows, gradient and direction."""

    @abstractmethod
    def factoring(self, size: LayerSize) -> float:
        """Like `operations`, of `factor`."""

    @abstractmethod
    def applying(self, size: LayerSize) -> float:
        """Like `operations`, of `solve_with`."""

    @abstractmethod
    def kept_numbers(self, size: LayerSize) -> float:
        """Numbers of what `factor` returns."""

    @abstractmethod
    def solve(self, backend: Backend, rows: LayerRows, mass: Mass) -> Direction:
        """Compute the direction of one layer, for the gradient among its rows."""

    @abstractmethod
    def factor(self, backend: Backend, rows: LayerRows, mass: Mass) -> Factored:
        """Factor the metric of one layer, for gradients that are not among its rows."""

    @abstractmethod
    def solve_with(
        self, backend: Backend, factored: Factored, source: Inputs, mass: Mass, gradient: Block
    ) -> Direction:
        """Compute the direction of one layer for any gradient.

        Args:
            backend: the arrays' backend.
            factored: what `factor` returned.
            source: inputs of the layer, of any number of samples: only how they lie matters.
            mass: as in `factor`.
            gradient: g.
        """


@dataclass(frozen=True)
class Solver:
    """A choice of forms.

    Attributes:
        name: how the solver is asked for.
        forms: the forms for a layer of a size, given how many numbers may be held at once.
        kronecker: whether the mass must be scalar or separable.
    """

    name: str
    forms: Callable[[LayerSize, float], list[Form]]
    kronecker: bool = False

    def serves(self, mass: Mass) -> bool:
        """Whether the solver can use a mass of this structure."""
        return not self.kronecker or isinstance(mass, KroneckerMass)


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
        samples, count = rows.rows.shape[:2]
        coefficients = xp.reshape(solution, (samples, count - 1))
        weights = xp.concat([xp.ones_like(coefficients[:, :1]), -coefficients], axis=1) / number
        result = combine(backend, weights, rows.rows)
    return result if isinstance(mass, float) else result / mass


def combine(backend: Backend, weights: Array, rows: Array) -> Array:
    """Σ_k weights[s, k] rows[s, k], (samples, positions, fan_out), of rows (samples, count, positions, fan_out)."""
    xp, samples = backend.xp, rows.shape[0]
    order = _memory_order(samples)
    ordered = xp.permute_dims(rows, order)
    flat = weights[:, None, :] @ xp.reshape(ordered, (*rows.shape[:2], -1))
    return xp.permute_dims(xp.reshape(flat, (samples, 1, *ordered.shape[2:])), order)[:, 0, :, :]


def products(backend: Backend, rows: Array, outputs: Array) -> Array:
    """⟨rows[s, k], outputs[s]⟩, (samples, count), of outputs (samples, positions, fan_out)."""
    xp, samples = backend.xp, rows.shape[0]
    order = _memory_order(samples)
    first = xp.reshape(xp.permute_dims(rows, order), (*rows.shape[:2], -1))
    second = xp.reshape(xp.permute_dims(outputs[:, None, :, :], order), (samples, -1, 1))
    return (first @ second)[:, :, 0]


def _memory_order(samples: int) -> tuple[int, int, int, int]:
    """Axes of rows as they lie in memory, so that nothing is copied when the last two become one.

    A convolution's positions stand behind its outputs; those of a whole batch that is one sample stand before them.
    """
    return (0, 1, 2, 3) if samples == 1 else (0, 1, 3, 2)
