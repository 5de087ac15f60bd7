"""Parts of a step that are measured separately: those of the solvers and the convolutions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rbench.backend import Array, Backend
from rbench.errors import SpecError
from rbench.methods.operations import layer_works
from rbench.modules.inputs import Patches
from rbench.names import unknown
from rbench.sliding_window import Window
from rbench.solvers.base import solve_cholesky
from rbench.tasks.networks import mlp


class Part(NamedTuple):
    """A part at one size.

    Attributes:
        call: computes it.
        sizes: in words.
        operations: multiply-add pairs, counted as `rbench.methods.operations` does.
    """

    call: Callable[[], Any]
    sizes: str
    operations: float


def gram_product(backend: Backend, rows: int = 1280, width: int = 1024) -> Part:
    """X Xᵀ of X (rows, width): rows² width / 2 pairs."""
    vectors = _random(backend, rows, width)
    function = backend.compile(lambda x: x @ x.T)
    return Part(lambda: function(vectors), f"{rows} rows of {width}", rows**2 * width / 2)


def capacitance_solve(backend: Backend, rows: int = 1280) -> Part:
    """(I + X Xᵀ)⁻¹ b by Cholesky, given X Xᵀ: rows³/6 + rows² pairs."""
    vectors = _random(backend, rows, rows)
    inner = vectors @ vectors.T / rows
    load = vectors[:, :1]
    function = backend.compile(lambda matrix, rhs: solve_cholesky(backend, backend.cholesky(matrix, 1.0), rhs))
    return Part(lambda: function(inner, load), f"{rows} rows", rows**3 / 6 + rows**2)


def pullback(
    backend: Backend, sizes: tuple[int, ...] = (784, 1024, 1024, 10), batch: int = 128, count: int = 11
) -> Part:
    """`count` rows per datum from a tanh network's outputs to its first layer: count · B Σ o i over later layers."""
    net = mlp(sizes, "tanh")
    params = net.init(backend)
    rows = _random(backend, batch, count, sizes[-1])
    _, tape = net.forward(backend, params, (_random(backend, batch, sizes[0]),))

    def pull(params: Any, tape: Any, rows: Array) -> list[Array]:
        _, layers = net.pullback(backend, params, tape, (rows,), need_input=False)
        return [layer.cotangents for layer in layers]

    function = backend.compile(pull)
    operations = count * batch * sum(work.product * work.pulls for work in layer_works(net, ((sizes[0],),)))
    words = f"{count} rows, batch {batch}, {'-'.join(map(str, sizes))}"
    return Part(lambda: function(params, tape, rows), words, operations)


def patches(backend: Backend, images: tuple[int, ...] = (128, 32, 16, 16), kernel: int = 3) -> Part:
    """The windows of images (n, channels, height, width), padded to keep their size: memory is moved, no pairs."""
    x = _random(backend, *images)
    window = Window(kernel, 1, kernel // 2)
    function = backend.compile(lambda x: Patches(backend, x, window).columns)
    return Part(lambda: function(x), f"kernel {kernel}, images {'×'.join(map(str, images))}", 0)


def convolution(
    backend: Backend, images: tuple[int, ...] = (128, 32, 16, 16), fan_out: int = 64, kernel: int = 3
) -> Part:
    """Images (n, channels, H, W) to `fan_out` channels: n H W · fan_out · channels · kernel² pairs."""
    x = _random(backend, *images)
    weight = _random(backend, fan_out, images[1], kernel, kernel)
    window = Window(kernel, 1, kernel // 2)
    function = backend.compile(lambda x, w: Patches(backend, x, window).convolve(w))
    n, channels, height, width = images
    words = f"kernel {kernel}, images {'×'.join(map(str, images))} to {fan_out} channels"
    return Part(lambda: function(x, weight), words, n * height * width * fan_out * channels * kernel**2)


PARTS: dict[str, Callable[[Backend], Part]] = {
    "gram product": gram_product,
    "capacitance solve": capacitance_solve,
    "pullback": pullback,
    "patches": patches,
    "convolution": convolution,
}


def get_part(name: str, backend: Backend) -> Part:
    """The part of a name.

    Raises:
        SpecError: there is none.
    """
    if name not in PARTS:
        raise SpecError(unknown("part of a step", name, PARTS))
    return PARTS[name](backend)


def _random(backend: Backend, *shape: int) -> Array:
    return backend.asarray(np.random.default_rng(0).normal(size=shape))
