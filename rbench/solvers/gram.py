"""`gram`: the capacitance from Gram matrices of inputs and cotangents; neither V nor the gradient is ever formed."""

from typing import cast

from rbench.backend import Array, Backend
from rbench.metrics import KroneckerMass, LayerRows, Mass, weight_product
from rbench.solvers.base import Direction, LayerSize, Solver, corrected, is_kronecker
from rbench.solvers.capacitance import solve_capacitance
from rbench.solvers.rows import solve_by_channels


class Gram(Solver):
    """Rows that are sums of δ_t ⊗ a_t have ⟨row, row'⟩_{M⁻¹} = Σ_tt' (a_t C⁻¹ a'_t')(δ_t R⁻¹ δ'_t') for a mass R ⊗ C.

    So K, and V M⁻¹ g, are entries of one Gram matrix of all pulled-back rows, the gradient's among them. With
    c = K⁻¹ V M⁻¹ g the direction is one weight product on corrected cotangents,
    Δ = M⁻¹ Σ_st (γ_st − Σ_k c_sk F_skt) ⊗ a_st.

    With many positions that takes (samples · positions)² products; K is then summed instead from V's columns, as many
    at a time as the workspace holds. Both are exact; the one with fewer predicted operations that fits is taken.
    """

    name = "gram"

    def serves(self, mass: Mass) -> bool:
        return is_kronecker(mass)

    def operations(self, size: LayerSize) -> float:
        by_positions = _position_operations(size)
        return by_positions if size.positions == 1 else min(by_positions, _channel_operations(size))

    def numbers(self, size: LayerSize) -> float:
        by_positions = _position_numbers(size)
        if size.positions == 1:
            return by_positions
        return min(by_positions, 3.0 * size.rows * size.fan_in + 2 * size.rows**2)

    def solve(self, backend: Backend, rows: LayerRows, mass: Mass, workspace_bytes: float) -> Direction:
        size, workspace = LayerSize.of(rows), workspace_bytes / backend.itemsize
        cheaper = _position_operations(size) <= _channel_operations(size)
        if size.positions == 1 or (cheaper and _position_numbers(size) <= workspace):
            return _solve_by_positions(backend, rows, cast(KroneckerMass, mass))  # `serves` says so
        channels = int((workspace - 2 * size.rows**2) / (3 * size.rows * size.fan_in))
        return solve_by_channels(backend, rows, mass, max(1, min(channels, size.fan_out)))


def _position_operations(size: LayerSize) -> float:
    points = size.samples * size.positions
    rows = (size.rows + size.samples * (not size.rescaled)) * size.positions  # the gradient's among them
    grams = (points**2 * (size.fan_in + size.bias) + rows**2 * size.fan_out) / 2 + rows**2
    return grams + size.rows**3 / 6 + points * size.fan_out * size.fan_in


def _position_numbers(size: LayerSize) -> float:
    rows = (size.rows + size.samples * (not size.rescaled)) * size.positions
    return 2.0 * rows**2 + (size.samples * size.positions) ** 2 + 2 * size.rows**2


def _channel_operations(size: LayerSize) -> float:
    products = size.rows + size.samples * (1 + (not size.rescaled))  # V, the direction, and a gradient of its own
    return products * size.positions * size.fan_out * size.fan_in + size.n * size.rows**2 / 2 + size.rows**3 / 6


def _solve_by_positions(backend: Backend, rows: LayerRows, mass: KroneckerMass) -> Direction:
    xp = backend.xp
    products = _row_products(backend, rows, mass)  # (count, samples, count, samples)
    count, samples = products.shape[:2]
    if rows.scale is None:
        size = (count - 1) * samples
        inner = xp.reshape(products[1:, :, 1:, :], (size, size))
        load = xp.reshape(xp.sum(products[1:, :, 0, :], axis=2), (size,))
    else:
        inner = products[0, :, 0, :] * rows.scale[:, None] * rows.scale[None, :]
        load = xp.sum(products[0, :, 0, :], axis=1) * rows.scale
    solution, health = solve_capacitance(backend, inner, load)

    def slope() -> Array:
        # A difference of like numbers, so rounding may leave it a little below zero.
        value = xp.sum(products[0, :, 0, :]) - xp.sum(load * solution)
        return xp.maximum(value, xp.zeros_like(value))

    by_sample = solution if count == 1 else xp.reshape(xp.reshape(solution, (-1, samples)).T, (-1,))
    # Divided by the mass of the outputs before the product: the cotangents are fewer than the weights.
    cotangents = corrected(backend, rows, by_sample, mass.row)
    weight, bias = weight_product(backend, rows.source, cotangents)
    return Direction(_divide(weight, mass.column), bias / mass.bias_column, slope, health)


def _row_products(backend: Backend, rows: LayerRows, mass: KroneckerMass) -> Array:
    """⟨row, row'⟩_{M⁻¹} of all pulled-back rows, (count, samples, count, samples).

    Samples stand last, so that the elementwise product runs over long axes: a short one is many times slower.
    """
    xp = backend.xp
    samples, positions, fan_in = rows.source.shape
    count, fan_out = rows.rows.shape[1], rows.rows.shape[3]
    of_inputs = _gram(xp.reshape(rows.inputs, (samples * positions, fan_in)), mass.column)
    if rows.bias:
        of_inputs = of_inputs + 1 / mass.bias_column
    by_count = xp.reshape(xp.permute_dims(rows.rows, (1, 0, 2, 3)), (count * samples * positions, fan_out))
    of_cotangents = _gram(by_count, mass.row)
    if positions == 1:
        return xp.reshape(of_cotangents, (count, samples, count, samples)) * of_inputs[None, :, None, :]
    shape = (count, samples, positions, count, samples, positions)
    weights = xp.reshape(of_inputs, (1, samples, positions, 1, samples, positions))
    return xp.sum(xp.reshape(of_cotangents, shape) * weights, axis=(2, 5))


def _gram(vectors: Array, mass: Array | float) -> Array:
    """vectors · diag(mass)⁻¹ · vectorsᵀ; the root of the mass divides the vectors, or a number whichever is smaller."""
    if isinstance(mass, float) and vectors.shape[0] < vectors.shape[1]:
        return _divide(vectors @ vectors.T, mass)
    scaled = _divide(vectors, mass**0.5)
    return scaled @ scaled.T


def _divide(array: Array, mass: Array | float) -> Array:
    return array if isinstance(mass, float) and mass == 1 else array / mass
