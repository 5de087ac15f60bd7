"""Equilibrium: z = tanh(W [κz; x] + b), a layer that is defined by an equation for its output."""

from dataclasses import dataclass
from numbers import Real
from typing import Any

from rbench.backend import Array, Backend
from rbench.errors import ParameterError
from rbench.modules.inputs import Vectors
from rbench.modules.module import Block, Layer, Params, Tangents, Wires
from rbench.modules.pullback import LayerPullback
from rbench.modules.space import Space, fitted, settle_sizes

AVERAGED = 20
"""Steps z ← (z + tanh(W [κz; x] + b)) / 2 that lead Newton's method near a solution."""

NEWTON = 8
"""Newton steps of a forward pass; the error squares from one to the next."""


@dataclass(frozen=True, repr=False)
class Equilibrium(Layer):
    """An implicit layer (Bai, Kolter and Koltun 2019): z = tanh(W [κz; x] + b), from (in_features,) to (out_features,).

    With D = diag(1 − z²) and W_z the first columns of W, a change of the weights gives

        dz = (I − κ D W_z)⁻¹ D (dW [κz; x] + db),

    so a cotangent row v at z is the row δ = D (I − κ D W_z)⁻ᵀ v at the outputs of a layer that is linear in its inputs
    [κz; x]: gradients, metrics and Kronecker factors are those of any other layer, at the price of a solve for each
    datum. The rows at x are δ W_x.

    z is found from zero by averaged steps, then Newton's method. While κ ‖W_z‖ < 1 there is exactly one. An example for
    which the method has not converged is NaN, and training ends as diverged: there is then no solution nearby whose
    derivative the rows would be.

    Attributes:
        in_features: size of x.
        out_features: size of z.
        bias: whether there is a bias b.
        feedback: κ; the smaller, the longer training keeps κ ‖W_z‖ below 1.
    """

    in_features: int
    out_features: int
    bias: bool = True
    feedback: float = 0.5

    def __post_init__(self) -> None:
        settle_sizes(self, "in_features", "out_features")
        if not (isinstance(self.feedback, Real) and 0 < self.feedback < float("inf")):
            raise ParameterError(f"Equilibrium: feedback is {self.feedback!r}; give a positive finite number")

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_features, self.out_features + self.in_features)

    @property
    def in_space(self) -> Space:
        return ((self.in_features,),)

    def out_space(self, space: Space) -> Space:
        fitted(self, space, (self.in_features,))
        return ((self.out_features,),)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        xp = backend.xp
        (x,) = wires
        (block,) = params
        own, given = self._parts(block)
        offset = backend.affine(x, given, block.get("bias"))
        z = xp.zeros_like(offset)
        for _ in range(AVERAGED):
            z = (z + xp.tanh(z @ own.T + offset)) / 2
        for _ in range(NEWTON):
            t = xp.tanh(z @ own.T + offset)
            z = z - xp.linalg.solve(self._matrix(backend, own, t), (z - t)[:, :, None])[:, :, 0]
        off = xp.max(xp.abs(z - xp.tanh(z @ own.T + offset)), axis=1, keepdims=True)
        z = xp.where(off < backend.epsilon**0.5, z, xp.full_like(z, float("nan")))
        return (z,), xp.concat([self.feedback * z, x], axis=1)

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        xp = backend.xp
        (rows,) = cotangents
        (block,) = params
        own, given = self._parts(block)
        z = tape[:, : self.out_features] / self.feedback
        transposed = xp.permute_dims(self._matrix(backend, own, z), (0, 2, 1))
        solved = xp.permute_dims(xp.linalg.solve(transposed, xp.permute_dims(rows, (0, 2, 1))), (0, 2, 1))
        delta = solved * (1 - z**2)[:, None, :]
        layer = LayerPullback(backend, Vectors(tape), delta[:, :, None, :], self.bias)
        return ((delta @ given,) if need_input else None), [layer]

    def pushforward(
        self, backend: Backend, params: Params, tape: Any, param_tangents: Params, tangents: Tangents
    ) -> Tangents:
        (block,), (move,), (tangent,) = params, param_tangents, tangents
        own, given = self._parts(block)
        z = tape[:, : self.out_features] / self.feedback
        pushed = backend.affine(tape, move["weight"], move.get("bias"))
        pushed = (1 - z**2) * (pushed if tangent is None else pushed + tangent @ given.T)
        return (backend.xp.linalg.solve(self._matrix(backend, own, z), pushed[:, :, None])[:, :, 0],)

    def _parts(self, block: Block) -> tuple[Array, Array]:
        """κ W_z and W_x."""
        weight = block["weight"]
        return self.feedback * weight[:, : self.out_features], weight[:, self.out_features :]

    def _matrix(self, backend: Backend, own: Array, z: Array) -> Array:
        """I − κ D W_z for every example, (batch, out, out)."""
        return backend.eye(self.out_features) - (1 - z**2)[:, :, None] * own
