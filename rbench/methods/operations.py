"""Operation counts per step: over SGD's, the floor of the ratio of their times if all products were equally quick.

The counts are multiply-add pairs of matrix products, factorisations and triangular solves: r² n / 2 for a symmetric
product of r vectors of size n, n³/6 for a Cholesky factorisation, n² k / 2 for a triangular solve with k right-hand
sides, n³ for an inverse; entrywise work is not counted. B is the batch size, and a layer has P positions, each with i
inputs (a with the bias's 1) and o outputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rbench.modules import Layer, Module, Parallel, Sequential
from rbench.modules.space import Space

EIGEN = 4.5
"""Pairs of an eigendecomposition with vectors, over n³ (Golub and Van Loan, Matrix Computations, 8.3: 9 n³ flops)."""


@dataclass(frozen=True)
class LayerWork:
    """A layer where it stands in a network.

    Attributes:
        layer: the layer.
        positions: P.
        pulls: whether rows are pulled back through it; False for a first layer.
    """

    layer: Layer
    positions: int
    pulls: bool

    @property
    def weights(self) -> int:
        """P o i, the pairs of one row through the layer, and of one datum's weight product."""
        return self.positions * self.layer.fan_out * self.layer.fan_in

    @property
    def product(self) -> int:
        """The pairs of one row through the layer: none where it acts entry by entry."""
        return 0 if self.layer.entrywise else self.weights

    @property
    def pulled(self) -> int:
        """The pairs of pulling one row back through the layer: none for a first layer."""
        return self.product if self.pulls else 0


def layer_works(net: Module, space: Space) -> list[LayerWork]:
    """The layers of a network for inputs of these shapes, in order of their blocks."""
    return list(_works(net, space, pulls=False))


def _works(module: Module, space: Space, pulls: bool) -> Iterator[LayerWork]:
    if isinstance(module, Sequential):
        for part in module.modules:
            yield from _works(part, space, pulls)
            pulls = pulls or bool(part.layers)
            space = part.out_space(space)
    elif isinstance(module, Parallel):
        for part, shapes in module.with_inputs(space):
            yield from _works(part, shapes, pulls)
    elif isinstance(module, Layer):
        yield LayerWork(module, module.positions(space), pulls)


def pass_operations(works: list[LayerWork], batch: int, rows: int) -> float:
    """Forward, B Σ P o i, and a pullback of some rows per datum, rows · B Σ P o i without the first layer."""
    return batch * sum(work.product + rows * work.pulled for work in works)


def gradient_operations(works: list[LayerWork], batch: int) -> float:
    """Forward, a pullback of 1 row per datum, and weight products B P o i: a step of a first-order method."""
    return pass_operations(works, batch, 1) + batch * sum(work.weights for work in works)
