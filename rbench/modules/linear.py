"""Linear: y = W x + b."""

from dataclasses import dataclass
from typing import Any

from rbench.backend import Backend
from rbench.modules.inputs import Vectors
from rbench.modules.module import Layer, Params, Tangents, Wires
from rbench.modules.pullback import LayerPullback
from rbench.modules.space import Space, fitted, settle_sizes


@dataclass(frozen=True, repr=False)
class Linear(Layer):
    """y = W x + b, from (in_features,) to (out_features,) (Ex. 1 of arXiv 2603.03610).

    A factor F at the output pulls back to F W at the input, and its row F_bk to F_bk ⊗ [x_b; 1] on the weights.

    Attributes:
        in_features: size of x.
        out_features: size of y.
        bias: whether there is a bias b.
    """

    in_features: int
    out_features: int
    bias: bool = True

    def __post_init__(self) -> None:
        settle_sizes(self, "in_features", "out_features")

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_features, self.in_features)

    @property
    def in_space(self) -> Space:
        return ((self.in_features,),)

    def out_space(self, space: Space) -> Space:
        fitted(self, space, (self.in_features,))
        return ((self.out_features,),)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        (x,) = wires
        (block,) = params
        return (backend.affine(x, block["weight"], block.get("bias")),), x

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        xp = backend.xp
        (rows,) = cotangents
        (block,) = params
        layer = LayerPullback(backend, Vectors(tape), rows[:, :, None, :], self.bias)
        if not need_input:
            return None, [layer]
        # One product over all rows: a batch of small products is many times slower.
        flat = xp.reshape(rows, (-1, self.out_features)) @ block["weight"]
        return (xp.reshape(flat, (*rows.shape[:2], self.in_features)),), [layer]

    def pushforward(
        self, backend: Backend, params: Params, tape: Any, param_tangents: Params, tangents: Tangents
    ) -> Tangents:
        (block,), (move,), (tangent,) = params, param_tangents, tangents
        pushed = backend.affine(tape, move["weight"], move.get("bias"))
        return (pushed if tangent is None else pushed + tangent @ block["weight"].T,)
