"""Equilibrium: z = tanh(W [z; x] + b), a layer that is defined by an equation for its output."""

from dataclasses import dataclass
from typing import Any

from rbench.backend import Array, Backend
from rbench.modules.inputs import Vectors
from rbench.modules.module import Block, Layer, Params, Scheme, Wires
from rbench.modules.pullback import LayerPullback
from rbench.modules.space import Space, fitted, settle_sizes

NEWTON = 12
"""Newton steps of a forward pass; its error squares from one to the next."""


@dataclass(frozen=True, repr=False)
class Equilibrium(Layer):
    """z with z = tanh(W [z; x] + b): an implicit layer (Bai, Kolter and Koltun 2019), from (in_features,) to (out,).

    With D = diag(1 − z²) and W_z the first columns of W, a change of the weights gives

        dz = (I − D W_z)⁻¹ D (dW [z; x] + db),

    so a cotangent row v at z is the row δ = D (I − D W_z)⁻ᵀ v at the outputs of a layer that is linear in its inputs
    [z; x]: gradients, metrics and Kronecker factors are those of any other layer, at the price of a solve for each
    datum. The rows at x are δ W_x.

    z is found by Newton's method from zero. An example for which it has not converged is NaN, as there is then no
    solution whose derivative these would be; while ‖W_z‖ < 1 there is exactly one. Initial weights W_z are half as
    large as those of `Linear`, which makes that likely.

    Attributes:
        in_features: size of x.
        out_features: size of z.
        bias: whether there is a bias b.
    """

    in_features: int
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        settle_sizes(self, "in_features", "out_features")

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_features, self.out_features + self.in_features)

    @property
    def in_space(self) -> Space:
        return ((self.in_features,),)

    def out_space(self, space: Space) -> Space:
        fitted(self, space, (self.in_features,))
        return ((self.out_features,),)

    def draw(self, backend: Backend, seed: int, index: int, scheme: Scheme) -> Block:
        block = super().draw(backend, seed, index, scheme)
        own, given = self._parts(block)
        return {**block, "weight": backend.xp.concat([own / 2, given], axis=1)}

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        xp = backend.xp
        (x,) = wires
        (block,) = params
        own, given = self._parts(block)
        offset = backend.affine(x, given, block.get("bias"))
        z = xp.zeros_like(offset)
        for _ in range(NEWTON):
            t = xp.tanh(z @ own.T + offset)
            z = z - xp.linalg.solve(self._matrix(backend, own, t), (z - t)[:, :, None])[:, :, 0]
        off = xp.max(xp.abs(z - xp.tanh(z @ own.T + offset)), axis=1, keepdims=True)
        z = xp.where(off < backend.epsilon**0.5, z, xp.full_like(z, float("nan")))
        return (z,), xp.concat([z, x], axis=1)

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        xp = backend.xp
        (rows,) = cotangents
        (block,) = params
        own, given = self._parts(block)
        z = tape[:, : self.out_features]
        transposed = xp.permute_dims(self._matrix(backend, own, z), (0, 2, 1))
        solved = xp.permute_dims(xp.linalg.solve(transposed, xp.permute_dims(rows, (0, 2, 1))), (0, 2, 1))
        delta = solved * (1 - z**2)[:, None, :]
        layer = LayerPullback(backend, Vectors(tape), delta[:, :, None, :], self.bias)
        return ((delta @ given,) if need_input else None), [layer]

    def _parts(self, block: Block) -> tuple[Array, Array]:
        """W_z and W_x."""
        weight = block["weight"]
        return weight[:, : self.out_features], weight[:, self.out_features :]

    def _matrix(self, backend: Backend, own: Array, z: Array) -> Array:
        """I − D W_z for every example, (batch, out, out)."""
        return backend.eye(self.out_features) - (1 - z**2)[:, :, None] * own
