"""Pooling over adjacent windows: each output pixel depends on kernel² input pixels."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from rbench.backend import Array, Backend
from rbench.errors import ShapeError
from rbench.modules.module import Wires
from rbench.modules.space import Space, describe, fitted, settle_sizes
from rbench.modules.wiring import Weightless


@dataclass(frozen=True, repr=False)
class _Pool(Weightless):
    kernel: int

    def __post_init__(self) -> None:
        settle_sizes(self, "kernel")

    @property
    def in_space(self) -> Space:
        return ((None, None, None),)

    def out_space(self, space: Space) -> Space:
        channels, *sizes = fitted(self, space, (None, None, None), "images (channels, height, width)")
        if any(size is not None and size < self.kernel for size in sizes):
            raise ShapeError(f"{self!r} does not fit into images of {describe(space)}; take a smaller kernel")
        return ((channels, *(None if size is None else size // self.kernel for size in sizes)),)

    def forward(self, backend: Backend, params: Any, wires: Wires) -> tuple[Wires, Any]:
        (x,) = wires
        pooled, shares = self.pool(backend, self._windows(backend, x))
        return (pooled,), (shares, x.shape[2:])

    def _windows(self, backend: Backend, x: Array) -> Array:
        """Windows (batch, channels, rows, kernel, columns, kernel) of images."""
        kernel = self.kernel
        rows, columns = (size // kernel for size in x.shape[2:])
        inner = x[:, :, : rows * kernel, : columns * kernel]
        return backend.xp.reshape(inner, (*x.shape[:2], rows, kernel, columns, kernel))

    @abstractmethod
    def pool(self, backend: Backend, windows: Array) -> tuple[Array, Array]:
        """Pool windows (batch, channels, rows, kernel, columns, kernel) over both kernels.

        Returns:
            The result (batch, channels, rows, columns), and each pixel's share of its window's cotangent, of the
            windows' shape or one that broadcasts to it.
        """

    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        xp = backend.xp
        (rows,) = cotangents
        shares, sizes = tape
        spread = rows[:, :, :, :, None, :, None] * shares[:, None, ...]
        batch, count, channels, height, kernel, width, _ = spread.shape
        images = xp.reshape(spread, (batch, count, channels, height * kernel, width * kernel))
        for axis, size in ((3, sizes[0]), (4, sizes[1])):
            if images.shape[axis] < size:  # pixels beyond the last whole window
                shape = list(images.shape)
                shape[axis] = size - images.shape[axis]
                rest = xp.zeros(tuple(shape), dtype=images.dtype, device=backend.native_device)
                images = xp.concat([images, rest], axis=axis)
        return (images,)

    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        shares, _ = tape
        return (backend.xp.sum(self._windows(backend, tangents[0]) * shares, axis=(3, 5)),)


@dataclass(frozen=True, repr=False)
class AvgPool2d(_Pool):
    """The mean over adjacent windows of kernel × kernel pixels; incomplete windows at the far edges are left out.

    Attributes:
        kernel: side of the windows, and the step between them.
    """

    def pool(self, backend: Backend, windows: Array) -> tuple[Array, Array]:
        share = backend.xp.full_like(windows[:1, :1, :1, :, :1, :], 1 / self.kernel**2)
        return backend.xp.mean(windows, axis=(3, 5)), share


@dataclass(frozen=True, repr=False)
class MaxPool2d(_Pool):
    """The maximum over adjacent windows of kernel × kernel pixels; incomplete windows at the far edges are left out.

    Where several pixels attain the maximum, the cotangent goes to the first.

    Attributes:
        kernel: side of the windows, and the step between them.
    """

    def pool(self, backend: Backend, windows: Array) -> tuple[Array, Array]:
        xp = backend.xp
        last = xp.permute_dims(windows, (0, 1, 2, 4, 3, 5))
        flat = xp.reshape(last, (*last.shape[:4], -1))
        first = xp.argmax(flat, axis=4)
        pixels = xp.arange(flat.shape[4], dtype=first.dtype, device=backend.native_device)
        chosen = xp.reshape(xp.astype(first[..., None] == pixels, windows.dtype), last.shape)
        return xp.max(flat, axis=4), xp.permute_dims(chosen, (0, 1, 2, 4, 3, 5))
