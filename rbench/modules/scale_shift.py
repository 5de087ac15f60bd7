"""ScaleShift: a gain and an offset for each channel."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from rbench.backend import Array, Backend
from rbench.errors import ParameterError, ShapeError
from rbench.modules.inputs import Vectors
from rbench.modules.module import Block, Layer, Params, Scheme, Tangents, Wires
from rbench.modules.pullback import LayerPullback, Weights
from rbench.modules.space import Space, describe, one_shape, settle_sizes


@dataclass(frozen=True)
class ScaleShift(Layer):
    """y_c = w_c x_c + b_c for each channel c, the first axis of a datum, at all its positions.

    A cotangent row δ pulls back to [Σ_t δ_ct x_ct; Σ_t δ_ct]: the cotangents at the 2 · channels outputs of a linear
    layer without bias, whose only input is the number 1.

    Attributes:
        channels: size of the first axis.
        scale: initial gain.
    """

    channels: int
    scale: float = 1.0
    bias = False
    entrywise = True

    def __post_init__(self) -> None:
        settle_sizes(self, "channels")
        if not isinstance(self.scale, Real) or isinstance(self.scale, bool) or not math.isfinite(self.scale):
            raise ParameterError(f"ScaleShift: scale is {self.scale!r}; give a finite number")

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (2 * self.channels, 1)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"weight": (self.channels,), "bias": (self.channels,)}

    def draw(self, backend: Backend, seed: int, index: int, scheme: Scheme) -> Block:
        gain = backend.asarray(np.full(self.channels, self.scale))
        return {"weight": gain, "bias": backend.asarray(np.zeros(self.channels))}

    def block(self, weight: Array, bias: Array | None, backend: Backend) -> Block:
        return {"weight": weight[: self.channels, 0], "bias": weight[self.channels :, 0]}

    def weights(self, block: Block, backend: Backend) -> Weights:
        return backend.xp.concat([block["weight"], block["bias"]])[:, None], None

    @property
    def in_space(self) -> Space:
        return (None,)

    def out_space(self, space: Space) -> Space:
        shape = one_shape(self, space)
        if shape is not None and (not shape or shape[0] not in (None, self.channels)):
            raise ShapeError(f"{self!r} takes ({self.channels}, …), but is given {describe(space)}")
        return (shape,)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        (x,) = wires
        gain, offset = self._columns(backend, params, x)
        return (x * gain + offset,), x

    def _columns(self, backend: Backend, params: Params, x: Array) -> list[Array]:
        """Gains and offsets, in a shape that broadcasts to x."""
        (block,) = params
        return [backend.xp.reshape(block[name], (-1, *[1] * (x.ndim - 2))) for name in ("weight", "bias")]

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        xp = backend.xp
        (rows,) = cotangents
        (block,) = params
        flat = xp.reshape(rows, (*rows.shape[:3], -1))
        x = xp.reshape(tape, (tape.shape[0], 1, self.channels, -1))
        both = xp.concat([xp.sum(flat * x, axis=3), xp.sum(flat, axis=3)], axis=2)
        layer = LayerPullback(backend, Vectors(xp.ones_like(x[:, 0, :1, 0])), both[:, :, None, :], False)
        if not need_input:
            return None, [layer]
        return (rows * xp.reshape(block["weight"], (self.channels, *[1] * (rows.ndim - 3))),), [layer]

    def pushforward(
        self, backend: Backend, params: Params, tape: Any, param_tangents: Params, tangents: Tangents
    ) -> Tangents:
        (tangent,) = tangents
        gain, _ = self._columns(backend, params, tape)
        of_gain, of_offset = self._columns(backend, param_tangents, tape)
        pushed = tape * of_gain + of_offset
        return (pushed if tangent is None else pushed + tangent * gain,)
