"""Woodbury's identity: Δ through the Cholesky factor of the capacitance K = I + V M⁻¹ Vᵀ."""

from abc import abstractmethod

from rbench.backend import Array, Backend
from rbench.metrics import LayerRows, Mass, weight_product
from rbench.modules.inputs import Inputs
from rbench.solvers.base import Block, Direction, Factored, Form, LayerSize, combine, products


class Woodbury(Form):
    """A form that factors the capacitance.

    Attributes:
        rank_first: whether the rows of K are those of the first rank of all samples, then those of the next; else those
            of the first sample come first.
    """

    rank_first: bool = False

    def applying(self, size: LayerSize) -> float:
        products = 2 * size.samples * size.positions * size.fan_out * size.fan_in
        return products + 2 * size.rows * size.positions * size.fan_out + size.rows**2

    def kept_numbers(self, size: LayerSize) -> float:
        rows = size.rows * size.positions * size.fan_out
        return size.rows**2 + rows + size.samples * size.positions * size.fan_in

    @abstractmethod
    def inner(self, backend: Backend, rows: LayerRows, mass: Mass) -> Array:
        """V M⁻¹ Vᵀ, (rows, rows)."""

    def factor(self, backend: Backend, rows: LayerRows, mass: Mass) -> Factored:
        lower, health = factor_definite(backend, self.inner(backend, rows, mass), shift=1.0)
        return Factored(lower, rows.source.data, rows.factor_rows, health)

    def solve_with(
        self, backend: Backend, factored: Factored, source: Inputs, mass: Mass, gradient: Block
    ) -> Direction:
        """V M⁻¹g is M⁻¹g as a layer applied to V's inputs, times V's cotangents; and Vᵀc is a weight product."""
        xp = backend.xp
        source, (weight, bias) = source.with_data(factored.data), gradient
        weight_mass, bias_mass = mass.entries(0, weight.shape[0])
        outputs = source.apply(weight / weight_mass)
        if bias is not None:
            outputs = outputs + bias / bias_mass
        load = products(backend, factored.rows, outputs)
        samples, rank = load.shape
        solution = solve_factored(backend, factored.matrix, xp.reshape(load.T if self.rank_first else load, (-1,)))
        by_sample = xp.reshape(solution, (rank, samples)).T if self.rank_first else xp.reshape(solution, load.shape)
        back, back_bias = weight_product(backend, source, combine(backend, by_sample, factored.rows))
        new_bias = None if bias is None else (bias - back_bias) / bias_mass
        return block_direction(backend, gradient, ((weight - back) / weight_mass, new_bias), factored.health)


def block_direction(backend: Backend, gradient: Block, block: Block, health: Array) -> Direction:
    """A direction at hand, with its slope."""
    xp = backend.xp

    def slope() -> Array:
        pairs = zip(gradient, block, strict=True)
        return sum(xp.sum(g * d) for g, d in pairs if g is not None)

    weight, bias = block
    return Direction(weight, weight[:, 0] if bias is None else bias, slope, health)


def solve_capacitance(backend: Backend, inner: Array, rhs: Array) -> tuple[Array, Array]:
    """Solve (I + inner) c = rhs, (rows,), for inner = V M⁻¹ Vᵀ; and a scalar that is NaN where that failed."""
    lower, health = factor_definite(backend, inner, shift=1.0)
    return solve_factored(backend, lower, rhs), health


def factor_definite(backend: Backend, matrix: Array, shift: float = 0.0) -> tuple[Array, Array]:
    """The Cholesky factor of the definite matrix + shift · I, and a scalar that is NaN where there is none.

    In exact arithmetic a capacitance's eigenvalues are at least 1. Where rounding loses definiteness nonetheless
    (‖K‖ ε > 1), `Backend.cholesky` adds the rounding level to the diagonal; where that fails too the result is NaN.
    """
    lower = backend.cholesky(matrix, shift)
    return lower, lower[0, 0] + lower[-1, -1]


def solve_factored(backend: Backend, lower: Array, rhs: Array) -> Array:
    """Solve L Lᵀ x = rhs for rhs (rows,)."""
    half = backend.solve_triangular(lower, rhs[:, None])
    return backend.solve_triangular(lower, half, transpose=True)[:, 0]
