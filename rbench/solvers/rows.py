"""`rows`: Woodbury with V formed, whole or some output channels at a time."""

from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple, TypeAlias

from rbench.backend import Array, Backend
from rbench.metrics import LayerRows, Mass, weight_product
from rbench.solvers.base import Block, Direction, LayerSize, corrected
from rbench.solvers.capacitance import Woodbury, solve_capacitance


@dataclass(frozen=True)
class ByChannels(Woodbury):
    """Δ = M⁻¹g − M⁻¹Vᵀ (I + V M⁻¹Vᵀ)⁻¹ V M⁻¹ g, with V formed for some outputs at a time; for any mass.

    K = I + V M⁻¹Vᵀ and V M⁻¹g are sums over outputs. V is kept where it is formed for all of them at once; else Δ is
    one weight product on corrected cotangents.

    Attributes:
        name: of the solver whose form it is.
        channels: outputs at a time.
    """

    name: str
    channels: int

    def operations(self, size: LayerSize) -> float:
        # Rescaled gradients are summed from the rows; other gradients are a product of their own.
        product = size.samples * size.positions * size.fan_out * size.fan_in
        directing = size.n * size.rows if self.channels >= size.fan_out else product
        return self.factoring(size) + product * (not size.rescaled) + directing + size.rows**2

    def factoring(self, size: LayerSize) -> float:
        forming = size.rows * size.positions * size.fan_out * size.fan_in
        return forming + size.n * size.rows * (size.rows / 2 + 1) + size.rows**3 / 6

    def numbers(self, size: LayerSize) -> float:
        return self.channels * channel_numbers(size) + 2.0 * size.rows**2

    def inner(self, backend: Backend, rows: LayerRows, mass: Mass) -> Array:
        gram, _, _ = self._over_channels(backend, rows, mass, None)
        return gram if rows.scale is None else gram * rows.scale[:, None] * rows.scale[None, :]

    def solve(self, backend: Backend, rows: LayerRows, mass: Mass) -> Direction:
        xp = backend.xp
        scale, fan_out = rows.scale, rows.rows.shape[3]
        gradient = None if scale is not None else weight_product(backend, rows.source, rows.gradient_rows)
        kept = _parts(backend, rows, mass, gradient, 0, fan_out) if self.channels >= fan_out else []
        gram, load, square = _sums(backend, kept) if kept else self._over_channels(backend, rows, mass, gradient)
        if scale is not None:
            gram, load = gram * scale[:, None] * scale[None, :], load * scale
        solution, health = solve_capacitance(backend, gram, load)

        def slope() -> Array:
            # A difference of like numbers, so rounding may leave it a little below zero.
            value = square - xp.sum(load * solution)
            return xp.maximum(value, xp.zeros_like(value))

        if kept:
            blocks = [part.direction(backend, solution if scale is None else solution * scale) for part in kept]
            return Direction(blocks[0], blocks[-1], slope, health)
        weight, bias = weight_product(backend, rows.source, corrected(backend, rows, solution))
        weight_mass, bias_mass = mass.entries(0, fan_out)
        return Direction(weight / weight_mass, bias / bias_mass, slope, health)

    def _over_channels(
        self, backend: Backend, rows: LayerRows, mass: Mass, gradient: tuple[Array, Array] | None
    ) -> "_Sums":
        """Some outputs after the other; nothing holds the columns of some while those of the next are formed."""

        def sums(start: int) -> _Sums:
            stop = min(start + self.channels, rows.rows.shape[3])
            return _sums(backend, _parts(backend, rows, mass, gradient, start, stop))

        return reduce(_add, map(sums, range(0, rows.rows.shape[3], self.channels)))


def channel_numbers(size: LayerSize) -> float:
    """Numbers held for each output whose columns of V are formed: cotangents, columns, and the same over √M."""
    return size.rows * (size.positions + 2.0 * (size.fan_in + size.bias))


_Sums: TypeAlias = tuple[Array, Array, Array]
"""V M⁻¹Vᵀ (rows, rows), V M⁻¹g (rows,) and gᵀM⁻¹g, a scalar, over some columns."""


def _sums(backend: Backend, parts: "list[_Part]") -> _Sums:
    return reduce(_add, (part.sums(backend) for part in parts))


def _add(one: _Sums, other: _Sums) -> _Sums:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


class _Part(NamedTuple):
    """Some columns of V and of g, over the root of the mass where that is not one number for all of them.

    Attributes:
        values: (rows, columns); where V's rows are the gradient's, rescaled, they are those of the gradient.
        gradient: (columns,); None where it is the sum of the rows.
        root: square root of the mass, an array that broadcasts to `shape`; None for a number.
        number: the mass, where it is a number; else 1.
        shape: of the columns in the block.
    """

    values: Array
    gradient: Array | None
    root: Array | None
    number: float
    shape: tuple[int, ...]

    def sums(self, backend: Backend) -> _Sums:
        """V M⁻¹Vᵀ, V M⁻¹g and gᵀM⁻¹g over these columns."""
        xp = backend.xp
        gram = backend.gram(self.values) / self.number
        if self.gradient is None:
            return gram, xp.sum(gram, axis=1), xp.sum(gram)
        return gram, self.values @ self.gradient / self.number, xp.sum(self.gradient * self.gradient) / self.number

    def direction(self, backend: Backend, push: Array) -> Array:
        """M⁻¹(g − Vᵀ push), of `shape`."""
        flat = (1 - push) @ self.values if self.gradient is None else self.gradient - push @ self.values
        block = backend.xp.reshape(flat, self.shape) / self.number
        return block if self.root is None else block / self.root


def _parts(
    backend: Backend, rows: LayerRows, mass: Mass, gradient: tuple[Array, Array] | None, start: int, stop: int
) -> list[_Part]:
    """The columns of the outputs from `start` to `stop`: of the weight, and of the bias where there is one.

    Where no gradient is given it is the sum of the rows.
    """
    xp = backend.xp
    cotangents = rows.rows if rows.scale is not None else rows.factor_rows
    some = cotangents[:, :, :, start:stop]
    weight_mass, bias_mass = mass.entries(start, stop)
    arrays = [(row_matrix(backend, rows.inputs, some), weight_mass)]
    if rows.bias:
        arrays.append((xp.reshape(xp.sum(some, axis=2), (-1, stop - start)), bias_mass))
    found = []
    for index, (values, entries) in enumerate(arrays):
        number, root = (entries, None) if isinstance(entries, float) else (1.0, entries**0.5)
        shape = tuple(values.shape[1:])
        own = None if gradient is None else gradient[index][start:stop, ...]
        if root is not None:
            values, own = values / root, None if own is None else own / root
        flat = None if own is None else xp.reshape(own, (-1,))
        found.append(_Part(xp.reshape(values, (values.shape[0], -1)), flat, root, number, shape))
    return found


def row_matrix(backend: Backend, inputs: Array, cotangents: Array) -> Array:
    """Σ_t cotangents[s, k, t] ⊗ inputs[s, t], (samples · rank, fan_out, fan_in).

    Args:
        backend: the arrays' backend.
        inputs: (samples, positions, fan_in).
        cotangents: (samples, rank, positions, fan_out).
    """
    xp = backend.xp
    samples, rank, positions, fan_out = cotangents.shape
    by_position = xp.reshape(xp.permute_dims(cotangents, (0, 2, 1, 3)), (samples, positions, rank * fan_out))
    return xp.reshape(backend.outer_sums(by_position, inputs), (samples * rank, fan_out, inputs.shape[2]))


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


def as_direction(
    backend: Backend, gradient: Array, direction: Array, shape: tuple[int, int], health: Array
) -> Direction:
    """A flat direction (n,) as a block whose weight has a shape, with its slope."""
    xp, size = backend.xp, shape[0] * shape[1]
    weight, bias = xp.reshape(direction[:size], shape), direction[direction.shape[0] - shape[0] :]
    return Direction(weight, bias, lambda: xp.sum(gradient * direction), health)


def flat_gradient(backend: Backend, gradient: Block) -> Array:
    """A gradient (n,), weight then bias."""
    return backend.xp.concat([backend.xp.reshape(part, (-1,)) for part in gradient if part is not None])
