"""`rows`: Woodbury with V formed, whole or some output channels at a time."""

from collections.abc import Iterator
from typing import NamedTuple

from rbench.backend import Array, Backend
from rbench.metrics import LayerRows, Mass, weight_product
from rbench.solvers.base import Direction, LayerSize, Solver, corrected
from rbench.solvers.capacitance import solve_capacitance


class Rows(Solver):
    """Δ = M⁻¹g − M⁻¹Vᵀ (I + V M⁻¹Vᵀ)⁻¹ V M⁻¹ g, with V of shape (rows, n) in memory; for any mass."""

    name = "rows"

    def operations(self, size: LayerSize) -> float:
        # Rescaled gradients are summed from the rows; other gradients are a product of their own.
        forming = (size.rows + size.samples * (not size.rescaled)) * size.positions * size.fan_out * size.fan_in
        return forming + size.n * size.rows**2 / 2 + 2 * size.n * size.rows + size.rows**3 / 6

    def numbers(self, size: LayerSize) -> float:
        return 2.0 * size.rows * size.n + 2 * size.rows**2

    def solve(self, backend: Backend, rows: LayerRows, mass: Mass, workspace_bytes: float) -> Direction:
        return solve_by_channels(backend, rows, mass, rows.rows.shape[3])


def solve_by_channels(backend: Backend, rows: LayerRows, mass: Mass, channels: int) -> Direction:
    """The direction with V formed for `channels` outputs at a time; it is kept where that is all of them.

    K = I + V M⁻¹Vᵀ and V M⁻¹g are sums over outputs. Where V was not kept, Δ is one weight product on corrected
    cotangents.
    """
    xp = backend.xp
    scale, fan_out = rows.scale, rows.rows.shape[3]
    gradient = None if scale is not None else weight_product(backend, rows.source, rows.gradient_rows)
    kept: list[_Part] = []
    grams, loads, squares = [], [], []
    for start in range(0, fan_out, channels):
        stop = min(start + channels, fan_out)
        for part in _parts(backend, rows, mass, gradient, start, stop):
            grams.append(part.values @ part.values.T)
            loads.append(part.values @ part.gradient)
            squares.append(xp.sum(part.gradient * part.gradient))
            kept += [part] * (channels >= fan_out)
        grams, loads, squares = [sum(grams[1:], grams[0])], [sum(loads[1:], loads[0])], [sum(squares[1:], squares[0])]
    (gram,), (load,), (square,) = grams, loads, squares
    if scale is not None:
        gram, load = gram * scale[:, None] * scale[None, :], load * scale
    solution, health = solve_capacitance(backend, gram, load)

    def slope() -> Array:
        # A difference of like numbers, so rounding may leave it a little below zero.
        value = square - xp.sum(load * solution)
        return xp.maximum(value, xp.zeros_like(value))

    if kept:
        push = solution if scale is None else solution * scale
        parts = [xp.reshape(part.gradient - push @ part.values, part.shape) / part.root for part in kept]
        return Direction(parts[0], parts[-1], slope, health)
    weight, bias = weight_product(backend, rows.source, corrected(backend, rows, solution))
    weight_mass, bias_mass = mass.entries(0, fan_out)
    return Direction(weight / weight_mass, bias / bias_mass, slope, health)


class _Part(NamedTuple):
    """Some columns of V M^(−1/2) and of M^(−1/2) g.

    Attributes:
        values: (rows, columns); where V's rows are the gradient's, rescaled, they are those of the gradient.
        gradient: (columns,).
        root: square root of the mass, broadcastable to `shape`.
        shape: of the columns in the block.
    """

    values: Array
    gradient: Array
    root: Array | float
    shape: tuple[int, ...]


def _parts(
    backend: Backend, rows: LayerRows, mass: Mass, gradient: tuple[Array, Array] | None, start: int, stop: int
) -> Iterator[_Part]:
    """The columns of the outputs from `start` to `stop`: of the weight, and of the bias where there is one."""
    xp = backend.xp
    cotangents = rows.rows if rows.scale is not None else rows.factor_rows
    some = cotangents[:, :, :, start:stop]
    weight_mass, bias_mass = mass.entries(start, stop)
    arrays = [(row_matrix(backend, rows.inputs, some), weight_mass)]
    if rows.bias:
        arrays.append((xp.reshape(xp.sum(some, axis=2), (-1, stop - start)), bias_mass))
    for index, (values, entries) in enumerate(arrays):
        root, shape = entries**0.5, tuple(values.shape[1:])
        if not (isinstance(root, float) and root == 1):
            values = values / root
        own = xp.sum(values, axis=0) if gradient is None else gradient[index][start:stop, ...] / root
        yield _Part(xp.reshape(values, (values.shape[0], -1)), xp.reshape(own, (-1,)), root, shape)


def row_matrix(backend: Backend, inputs: Array, cotangents: Array) -> Array:
    """Σ_t cotangents[s, k, t] ⊗ inputs[s, t], (samples · rank, fan_out, fan_in).

    Args:
        backend: the arrays' backend.
        inputs: (samples, positions, fan_in).
        cotangents: (samples, rank, positions, fan_out).
    """
    xp = backend.xp
    samples, rank, positions, fan_out = cotangents.shape
    by_position = xp.reshape(xp.permute_dims(cotangents, (0, 1, 3, 2)), (samples, rank * fan_out, positions))
    return xp.reshape(by_position @ inputs, (samples * rank, fan_out, inputs.shape[2]))


def layer_matrices(backend: Backend, rows: LayerRows, mass: Mass) -> tuple[Array, Array, Array]:
    """V (rows, n), the gradient (n,) and the mass's diagonal (n,), all in the order weight then bias."""
    xp = backend.xp
    cotangents = rows.factor_rows
    fan_in, fan_out = rows.source.shape[2], cotangents.shape[3]
    weights = row_matrix(backend, rows.inputs, cotangents)
    gradient, gradient_bias = weight_product(backend, rows.source, rows.gradient_rows)
    mass_weight, mass_bias = mass.block(backend, fan_out, fan_in)
    count = weights.shape[0]
    parts = [xp.reshape(weights, (count, -1))], [xp.reshape(gradient, (-1,))], [xp.reshape(mass_weight, (-1,))]
    if rows.bias:
        parts[0].append(xp.reshape(xp.sum(cotangents, axis=2), (count, fan_out)))
        parts[1].append(gradient_bias)
        parts[2].append(mass_bias)
    return xp.concat(parts[0], axis=1), xp.concat(parts[1]), xp.concat(parts[2])


def as_direction(backend: Backend, rows: LayerRows, gradient: Array, direction: Array, health: Array) -> Direction:
    """A flat direction (n,) as a block, with its slope."""
    xp = backend.xp
    fan_in, fan_out = rows.source.shape[2], rows.rows.shape[3]
    weight = xp.reshape(direction[: fan_out * fan_in], (fan_out, fan_in))
    bias = direction[direction.shape[0] - fan_out :]
    return Direction(weight, bias, lambda: xp.sum(gradient * direction), health)
