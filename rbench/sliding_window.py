"""Convolutions for an array library without them: windows cut out as strided slices, for one matrix product.

Written in the array API alone, for any library; backends override them where theirs is faster.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

Array: TypeAlias = Any


@dataclass(frozen=True)
class Window:
    """How a square window moves over an image.

    Attributes:
        kernel: its side.
        stride: step between two positions.
        padding: zeros around the image.
    """

    kernel: int
    stride: int = 1
    padding: int = 0

    def positions(self, size: int) -> int:
        """Positions along an axis of `size` pixels; below 1 where the window does not fit."""
        return (size + 2 * self.padding - self.kernel) // self.stride + 1


def patches(xp: Any, x: Array, window: Window) -> Array:
    """Windows (N, C · kernel², rows · columns) of images x (N, C, H, W)."""
    count, channels, *sizes = x.shape
    rows, columns = (window.positions(size) for size in sizes)
    padded = pad(xp, x, window.padding)
    starts = range(window.kernel)
    down, across = ([every(start, window.stride, count) for start in starts] for count in (rows, columns))
    cut = [padded[:, :, vertical, horizontal] for vertical in down for horizontal in across]
    return xp.reshape(xp.stack(cut, axis=2), (count, channels * window.kernel**2, rows * columns))


def scatter(xp: Any, windows: Array, window: Window, sizes: tuple[int, int]) -> Array:
    """The transpose of `patches`: images (N, C, *sizes), each pixel the sum of its entries in the windows."""
    count, width, _ = windows.shape
    kernel = window.kernel
    stride = window.stride
    rows, columns = (window.positions(size) for size in sizes)
    parts = xp.reshape(windows, (count, width // kernel**2, kernel, kernel, rows, columns))
    height, breadth = (size + 2 * window.padding for size in sizes)
    total = xp.zeros((count, width // kernel**2, height, breadth), dtype=windows.dtype, device=windows.device)
    for i in range(kernel):
        for j in range(kernel):
            total = total + _place(xp, _place(xp, parts[:, :, i, j, :, :], 3, j, stride, breadth), 2, i, stride, height)
    edge = window.padding
    return total[:, :, edge : height - edge, edge : breadth - edge]


def scatter_in_place(xp: Any, columns: Array, window: Window, sizes: tuple[int, int]) -> Array:
    """`scatter` for a library whose arrays can be written to."""
    count, width, _ = columns.shape
    rows, across = (window.positions(size) for size in sizes)
    parts = columns.reshape(count, width // window.kernel**2, window.kernel, window.kernel, rows, across)
    edge = window.padding
    total = xp.zeros((*parts.shape[:2], sizes[0] + 2 * edge, sizes[1] + 2 * edge), dtype=columns.dtype)
    for i in range(window.kernel):
        for j in range(window.kernel):
            total[:, :, every(i, window.stride, rows), every(j, window.stride, across)] += parts[:, :, i, j]
    return total[:, :, edge : edge + sizes[0], edge : edge + sizes[1]]


def every(start: int, stride: int, count: int) -> slice:
    """A slice of `count` places from `start` on, `stride` apart."""
    return slice(start, start + stride * (count - 1) + 1, stride)


def pad(xp: Any, x: Array, width: int) -> Array:
    """Images with `width` zeros on every side."""
    if not width:
        return x
    for axis in (2, 3):
        edge = _zeros(xp, x, axis, width)
        x = xp.concat([edge, x, edge], axis=axis)
    return x


def _place(xp: Any, x: Array, axis: int, start: int, stride: int, size: int) -> Array:
    """x spread over an axis of `size` zeros, at every `stride`-th place from `start` on."""
    length = x.shape[axis]
    if stride > 1:
        gaps = [x, *[xp.zeros_like(x) for _ in range(stride - 1)]]
        spread = tuple(length * stride if place == axis else extent for place, extent in enumerate(x.shape))
        x = xp.reshape(xp.stack(gaps, axis=axis + 1), spread)
    # The last gap may extend beyond the axis.
    keep = [slice(None)] * 4
    keep[axis] = slice(0, min(x.shape[axis], size - start))
    x = x[tuple(keep)]
    return xp.concat([_zeros(xp, x, axis, start), x, _zeros(xp, x, axis, size - start - x.shape[axis])], axis=axis)


def _zeros(xp: Any, x: Array, axis: int, count: int) -> Array:
    """Zeros of the shape of x, but `count` along an axis."""
    shape = tuple(count if place == axis else length for place, length in enumerate(x.shape))
    return xp.zeros(shape, dtype=x.dtype, device=x.device)
