"""Conv2d: a linear layer at every position of a window over images."""

from dataclasses import dataclass
from typing import Any

from rbench.backend import Backend
from rbench.errors import ShapeError
from rbench.modules.inputs import Patches
from rbench.modules.module import Layer, Params, Tangents, Wires
from rbench.modules.pullback import LayerPullback
from rbench.modules.space import Space, describe, fitted, settle_sizes
from rbench.sliding_window import Window


@dataclass(frozen=True, repr=False)
class Conv2d(Layer):
    """Cross-correlation of images (channels, height, width) with a square kernel, plus a bias for each channel.

    y_ot = Σ_j W_oj a_tj + b_o, where a_t is the window at position t, with in_channels · kernel² entries: one linear
    layer (Ex. 1 of arXiv 2603.03610) shared by all positions. Row k of a factor pulls back to Σ_t F_bkt ⊗ [a_bt; 1] on
    the weights.

    Attributes:
        in_channels: channels of the input images.
        out_channels: channels of the output images.
        kernel: side of the window.
        stride: step between two positions.
        padding: zeros around the images.
        bias: whether there is a bias.
    """

    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    bias: bool = True

    def __post_init__(self) -> None:
        settle_sizes(self, "in_channels", "out_channels", "kernel", "stride")
        settle_sizes(self, "padding", least=0)

    @property
    def window(self) -> Window:
        """How the kernel moves."""
        return Window(self.kernel, self.stride, self.padding)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_channels, self.in_channels, self.kernel, self.kernel)

    @property
    def fans(self) -> tuple[int, int]:
        return self.fan_in, self.fan_out * self.kernel**2

    @property
    def in_space(self) -> Space:
        return ((self.in_channels, None, None),)

    def out_space(self, space: Space) -> Space:
        _, *sizes = fitted(self, space, (self.in_channels, None, None))
        grid = [None if size is None else self.window.positions(size) for size in sizes]
        if any(size is not None and size < 1 for size in grid):
            raise ShapeError(
                f"{self!r} does not fit into images of {describe(space)}; pad them, or take a smaller kernel"
            )
        return ((self.out_channels, *grid),)

    def positions(self, space: Space) -> int:
        ((_, rows, columns),) = self.out_space(space)  # type: ignore[misc]
        return int(rows or 0) * int(columns or 0)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        (x,) = wires
        (block,) = params
        source = Patches(backend, x, self.window)
        y = source.convolve(block["weight"])
        return (y + block["bias"][:, None, None] if self.bias else y,), source

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        xp = backend.xp
        (rows,) = cotangents
        (block,) = params
        flat = xp.reshape(rows, (*rows.shape[:3], -1))
        layer = LayerPullback(backend, tape, xp.permute_dims(flat, (0, 1, 3, 2)), self.bias)
        if not need_input:
            return None, [layer]
        pulled = tape.pull(xp.reshape(rows, (-1, *rows.shape[2:])), block["weight"])
        return (xp.reshape(pulled, (*rows.shape[:2], *pulled.shape[1:])),), [layer]

    def pushforward(
        self, backend: Backend, params: Params, tape: Any, param_tangents: Params, tangents: Tangents
    ) -> Tangents:
        (block,), (move,), (tangent,) = params, param_tangents, tangents
        pushed = tape.convolve(move["weight"])
        if self.bias:
            pushed = pushed + move["bias"][:, None, None]
        return (pushed if tangent is None else pushed + tape.with_data(tangent).convolve(block["weight"]),)
