"""`gram`: the capacitance from Gram matrices of inputs and cotangents; neither V nor the gradient is ever formed."""

from typing import cast

from rbench.backend import Array, Backend
from rbench.metrics import KroneckerMass, LayerRows, Mass, weight_product
from rbench.solvers.base import Direction, Form, LayerSize, corrected
from rbench.solvers.capacitance import Woodbury, solve_capacitance
from rbench.solvers.rows import ByChannels, channel_numbers


def gram_forms(size: LayerSize, workspace: float) -> list[Form]:
    """By positions; and where there are several, from as many of V's columns at a time as the workspace holds."""
    if size.positions == 1:
        return [ByPositions()]
    channels = int(min((workspace - 2 * size.rows**2) / channel_numbers(size), size.fan_out))
    return [ByPositions(), ByChannels("gram", max(1, channels))]


class ByPositions(Woodbury):
    """Rows that are sums of δ_t ⊗ a_t have ⟨row, row'⟩_{M⁻¹} = Σ_tt' (a_t C⁻¹ a'_t')(δ_t R⁻¹ δ'_t') for a mass R ⊗ C.

    So K, and V M⁻¹ g, come from Gram matrices. With c = K⁻¹ V M⁻¹ g the direction is one weight product on corrected
    cotangents, Δ = M⁻¹ Σ_st (γ_st − Σ_k c_sk F_skt) ⊗ a_st. It takes (samples · positions)² products.
    """

    name = "gram"
    rank_first = True

    def operations(self, size: LayerSize) -> float:
        points, rows = size.samples * size.positions, size.rows * size.positions
        beside = 0 if size.rescaled else rows * points * size.fan_out  # the gradient's
        return self.factoring(size) + beside + size.rows**2 + points * size.fan_out * size.fan_in

    def factoring(self, size: LayerSize) -> float:
        points, rows = size.samples * size.positions, size.rows * size.positions
        return (points**2 * (size.fan_in + size.bias) + rows**2 * size.fan_out) / 2 + size.rows**3 / 6

    def numbers(self, size: LayerSize) -> float:
        points, rows = size.samples * size.positions, size.rows * size.positions
        vectors = points * size.fan_in + (rows + points) * size.fan_out
        return 2.0 * rows**2 + 2 * points**2 + 2 * size.rows**2 + vectors

    def inner(self, backend: Backend, rows: LayerRows, mass: Mass) -> Array:
        mass = cast(KroneckerMass, mass)  # `Solver.serves` says so
        factor = _by_rank(backend, rows.factor_rows, mass)
        return _row_products(backend, factor, factor, _input_gram(backend, rows, mass))

    def solve(self, backend: Backend, rows: LayerRows, mass: Mass) -> Direction:
        xp, mass = backend.xp, cast(KroneckerMass, mass)
        of_inputs = _input_gram(backend, rows, mass)
        gradient, factor = (_by_rank(backend, some, mass) for some in (rows.rows[:, :1, :, :], rows.rows[:, 1:, :, :]))
        if rows.scale is None:
            inner = _row_products(backend, factor, factor, of_inputs)
            load = xp.sum(_row_products(backend, factor, gradient, of_inputs), axis=1)
        else:
            products = _row_products(backend, gradient, gradient, of_inputs)
            inner = products * rows.scale[:, None] * rows.scale[None, :]
            load = xp.sum(products, axis=1) * rows.scale
        solution, health = solve_capacitance(backend, inner, load)

        def slope() -> Array:
            # A difference of like numbers, so rounding may leave it a little below zero.
            value = xp.sum(_row_products(backend, gradient, gradient, of_inputs)) - xp.sum(load * solution)
            return xp.maximum(value, xp.zeros_like(value))

        samples = rows.source.shape[0]
        by_sample = xp.reshape(xp.reshape(solution, (-1, samples)).T, (-1,))
        # Divided by the mass of the outputs before the product: the cotangents are fewer than the weights.
        cotangents = corrected(backend, rows, by_sample, mass.row)
        weight, bias = weight_product(backend, rows.source, cotangents)
        return Direction(_divide(weight, mass.column), bias / mass.bias_column, slope, health)


def _input_gram(backend: Backend, rows: LayerRows, mass: KroneckerMass) -> Array:
    """a C⁻¹ a' of all inputs with the bias's 1, (samples · positions, samples · positions)."""
    samples, positions, fan_in = rows.source.shape
    flat = backend.xp.reshape(rows.inputs, (samples * positions, fan_in))
    if isinstance(mass.column, float):
        products = _divide(backend.gram(flat), mass.column)
    else:
        products = backend.gram(flat / mass.column**0.5)
    return products + 1 / mass.bias_column if rows.bias else products


def _by_rank(backend: Backend, rows: Array, mass: KroneckerMass) -> Array:
    """Rows (samples, rank, positions, fan_out) over the root of the outputs' mass, rank first: (rank, samples, …).

    Samples stand behind the rank, so that products with the inputs' run over long axes: a short one is many times
    slower.
    """
    return _divide(backend.xp.permute_dims(rows, (1, 0, 2, 3)), mass.row**0.5)


def _row_products(backend: Backend, one: Array, other: Array, of_inputs: Array) -> Array:
    """⟨row, row'⟩_{M⁻¹} of rows (rank, samples, positions, fan_out) and others, (rank · samples, rank' · samples)."""
    xp = backend.xp
    shapes = one.shape[:3], other.shape[:3]
    first = xp.reshape(one, (-1, one.shape[3]))
    flat = backend.gram(first) if other is one else first @ xp.reshape(other, (-1, other.shape[3])).T
    of_cotangents = xp.reshape(flat, (*shapes[0], *shapes[1]))
    weights = xp.reshape(of_inputs, (1, *shapes[0][1:], 1, *shapes[1][1:]))
    products = of_cotangents * weights
    if shapes[0][2] > 1:
        products = xp.sum(products, axis=(2, 5))
    return xp.reshape(products, (shapes[0][0] * shapes[0][1], shapes[1][0] * shapes[1][1]))


def _divide(array: Array, mass: Array | float) -> Array:
    return array if isinstance(mass, float) and mass == 1 else array / mass
