"""`gram`: the capacitance from Gram matrices of inputs and cotangents; neither V nor the gradient is ever formed."""

from typing import cast

from rbench.backend import Array, Backend
from rbench.metrics import KroneckerMass, Mass, divided
from rbench.modules import LayerPullback
from rbench.solvers.base import Form, RowPoints
from rbench.solvers.cost import Cost, LayerSize, channel_numbers, positions_cost
from rbench.solvers.rows import ByChannels
from rbench.solvers.woodbury import Gradient, Woodbury, pulled_back


def gram_forms(size: LayerSize, workspace: float) -> list[Form]:
    """`ByPositions`; for several positions also `ByChannels`, of as many outputs at a time as the workspace holds."""
    if size.positions == 1:
        return [ByPositions()]
    channels = int(min((workspace - 2 * size.rows**2) / channel_numbers(size), size.fan_out))
    return [ByPositions(), ByChannels("gram", max(1, channels))]


class ByPositions(Woodbury):
    """Rows that are sums of δ_t ⊗ a_t have ⟨row, row'⟩_{M⁻¹} = Σ_tt' (a_t C⁻¹ a'_t')(δ_t R⁻¹ δ'_t') for a mass R ⊗ C.

    So V M⁻¹Vᵀ and V M⁻¹g come from Gram matrices. That takes (examples · positions)² products.
    """

    name = "gram"
    rank_first = True

    def cost(self, size: LayerSize) -> Cost:
        return positions_cost(size)

    def products(
        self, backend: Backend, layer: LayerPullback, mass: Mass, *, with_gradient: bool
    ) -> tuple[Array, Gradient]:
        xp = backend.xp
        mass = cast(KroneckerMass, mass)  # `planner.serves` ensures it
        of_inputs = _input_gram(backend, layer, mass)
        factor = _by_rank(backend, layer.unscaled_rows, mass)

        def gradient() -> Array:
            return _by_rank(backend, layer.cotangents[:, :1, :, :], mass)

        def load() -> Array:
            totals = xp.sum(_row_products(backend, factor, gradient(), of_inputs), axis=1)
            return xp.reshape(totals, factor.shape[:2]).T

        def square() -> Array:
            rows = gradient()
            return xp.sum(_row_products(backend, rows, rows, of_inputs))

        inner = _row_products(backend, factor, factor, of_inputs)
        return inner, pulled_back(backend, layer, mass, load, square)

    def cross(self, backend: Backend, one: RowPoints, other: RowPoints) -> Array:
        xp = backend.xp
        width = one.inputs.shape[2]
        of_inputs = xp.reshape(one.inputs, (-1, width)) @ xp.reshape(other.inputs, (-1, width)).T
        rows, others = (xp.permute_dims(points.cotangents, (1, 0, 2, 3)) for points in (one, other))
        return _row_products(backend, rows, others, of_inputs)

    def cross_operations(self, size: LayerSize) -> float:
        return size.points**2 * size.fan_in + (size.rows * size.positions) ** 2 * size.fan_out


def _input_gram(backend: Backend, layer: LayerPullback, mass: KroneckerMass) -> Array:
    """a C⁻¹ a' of all inputs with the bias's 1, (examples · positions, examples · positions)."""
    flat = backend.xp.reshape(layer.inputs, (-1, layer.source.shape[2]))
    if isinstance(mass.column, float):
        products = divided(backend.gram(flat), mass.column)
    else:
        products = backend.gram(flat / mass.column**0.5)
    return products + 1 / mass.bias_column if layer.bias else products


def _by_rank(backend: Backend, rows: Array, mass: KroneckerMass) -> Array:
    """Rows (examples, rank, positions, fan_out) over the root of the outputs' mass, rank first: (rank, examples, …).

    The rank comes first so that products with the inputs' Gram matrix run over long axes: short ones are many times
    slower.
    """
    return divided(backend.xp.permute_dims(rows, (1, 0, 2, 3)), mass.row**0.5)


def _row_products(backend: Backend, one: Array, other: Array, of_inputs: Array) -> Array:
    """⟨row, row'⟩_{M⁻¹} of rows (rank, examples, positions, fan_out), (rank · examples, rank' · examples)."""
    xp = backend.xp
    rank, examples, positions, fan_out = one.shape
    other_rank = other.shape[0]
    first = xp.reshape(one, (-1, fan_out))
    flat = backend.gram(first) if other is one else first @ xp.reshape(other, (-1, fan_out)).T
    of_cotangents = xp.reshape(flat, (rank, examples, positions, other_rank, examples, positions))
    products = of_cotangents * xp.reshape(of_inputs, (1, examples, positions, 1, examples, positions))
    if positions > 1:
        products = xp.sum(products, axis=(2, 5))
    return xp.reshape(products, (rank * examples, other_rank * examples))
