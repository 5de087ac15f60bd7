"""`rows`: Woodbury with V formed, whole or some output channels at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import NamedTuple

from rbench.backend import Array, Backend
from rbench.metrics import Mass, divided
from rbench.modules import LayerPullback, Weights
from rbench.solvers.base import RowPoints
from rbench.solvers.cost import Cost, LayerSize, channels_cost
from rbench.solvers.woodbury import Gradient, Woodbury, pulled_back


@dataclass(frozen=True)
class ByChannels(Woodbury):
    """V formed for some outputs at a time, for any mass: V M⁻¹Vᵀ and V M⁻¹g are sums over outputs.

    If V is formed for all of them at once it is kept, so that Vᵀc needs no weight product.

    Attributes:
        name: the name of the solver that it belongs to.
        channels: outputs at a time.
    """

    name: str
    channels: int

    def cost(self, size: LayerSize) -> Cost:
        return channels_cost(size, self.channels)

    def products(
        self, backend: Backend, layer: LayerPullback, mass: Mass, *, with_gradient: bool
    ) -> tuple[Array, Gradient]:
        xp = backend.xp
        fan_out = layer.fan_out
        gradient = layer.gradient() if with_gradient and layer.scale is None else (None, None)
        kept = _parts(layer, mass, gradient, 0, fan_out) if self.channels >= fan_out else None

        def sums(start: int) -> list[Array]:
            # No reference keeps these columns alive while those of the next outputs are formed.
            parts = kept or _parts(layer, mass, gradient, start, min(start + self.channels, fan_out))
            return _add([part.sums(backend) for part in parts])

        inner, *of_gradient = _add(map(sums, range(0, fan_out, self.channels)))

        def load() -> Array:
            return xp.reshape(of_gradient[0], (layer.source.shape[0], -1))

        own = pulled_back(backend, layer, mass, load, lambda: of_gradient[1])
        if kept is None:
            return inner, own

        def plus(weights: Array) -> Weights:
            weight, *bias = (part.plus(backend, xp.reshape(weights, (-1,))) for part in kept)
            return weight, bias[0] if bias else None

        return inner, own._replace(plus=plus)

    def cross(self, backend: Backend, one: RowPoints, other: RowPoints) -> Array:
        xp = backend.xp
        fan_out = one.cotangents.shape[3]

        def product(start: int) -> Array:
            some = slice(start, start + self.channels)
            rows, others = (
                row_matrix(backend, points.inputs, points.cotangents[:, :, :, some]) for points in (one, other)
            )
            return xp.reshape(rows, (rows.shape[0], -1)) @ xp.reshape(others, (others.shape[0], -1)).T

        return reduce(add, map(product, range(0, fan_out, self.channels)))

    def cross_operations(self, size: LayerSize) -> float:
        return 2 * size.rank * size.product + size.n * size.rows**2


def _add(terms: Iterable[list[Array]]) -> list[Array]:
    return reduce(lambda one, other: [a + b for a, b in zip(one, other, strict=True)], terms)


class _Part(NamedTuple):
    """Some columns of V and of g, divided by the root of the mass unless the mass is a single number.

    Attributes:
        values: (rows, columns), of `LayerPullback.unscaled_rows`.
        gradient: (columns,); None where its products are not needed, or V's rows are the gradient's.
        root: square root of the mass, which broadcasts to `shape`; 1 where the mass is a number.
        number: the mass, where it is a number; else 1.
        shape: shape of these columns in the block.
    """

    values: Array
    gradient: Array | None
    root: Array | float
    number: float
    shape: tuple[int, ...]

    def sums(self, backend: Backend) -> list[Array]:
        """V M⁻¹Vᵀ over these columns; and V M⁻¹g and gᵀM⁻¹g, where there is a g."""
        pairs = [] if self.gradient is None else [self.values @ self.gradient, backend.xp.sum(self.gradient**2)]
        return [product / self.number for product in (backend.gram(self.values), *pairs)]

    def plus(self, backend: Backend, weights: Array) -> Array:
        """M⁻¹(g + Vᵀw), of `shape`."""
        flat = weights @ self.values
        if self.gradient is not None:
            flat = self.gradient + flat
        return divided(backend.xp.reshape(flat, self.shape) / self.number, self.root)


def _parts(
    layer: LayerPullback, mass: Mass, gradients: tuple[Array | None, Array | None], start: int, stop: int
) -> list[_Part]:
    """The columns of the outputs from `start` to `stop`: of the weight, and of the bias where there is one."""
    xp = layer.backend.xp
    some = layer.unscaled_rows[:, :, :, start:stop]
    columns = [row_matrix(layer.backend, layer.inputs, some)]
    if layer.bias:
        columns.append(xp.reshape(xp.sum(some, axis=2), (-1, stop - start)))
    parts = []
    for values, gradient, entries in zip(columns, gradients, mass.entries(start, stop), strict=False):
        number, root = (entries, 1.0) if isinstance(entries, float) else (1.0, entries**0.5)
        own = None if gradient is None else xp.reshape(divided(gradient[start:stop, ...], root), (-1,))
        flat = xp.reshape(divided(values, root), (values.shape[0], -1))
        parts.append(_Part(flat, own, root, number, tuple(values.shape[1:])))
    return parts


def row_matrix(backend: Backend, inputs: Array, cotangents: Array) -> Array:
    """Σ_t cotangents[e, k, t] ⊗ inputs[e, t], (examples · rank, fan_out, fan_in).

    Inputs are (examples, positions, fan_in), and cotangents (examples, rank, positions, fan_out).
    """
    xp = backend.xp
    examples, rank, positions, fan_out = cotangents.shape
    by_position = xp.reshape(xp.permute_dims(cotangents, (0, 2, 1, 3)), (examples, positions, rank * fan_out))
    return xp.reshape(backend.outer_sums(by_position, inputs), (examples * rank, fan_out, inputs.shape[2]))
