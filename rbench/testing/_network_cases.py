"""Cases of modules, losses and gradients."""

import math
from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from rbench.api import loss_gradient
from rbench.backend import Array, Backend
from rbench.losses import get_loss
from rbench.losses.dense import Numbers
from rbench.modules import LayerPullback
from rbench.modules.inputs import Patches
from rbench.random import generator
from rbench.sliding_window import Window
from rbench.testing import oracle
from rbench.testing._examples import (
    BATCH,
    CONVOLUTIONS,
    LOSSES,
    MODULES,
    NETWORKS,
    SEED,
    Example,
    draw_targets,
    example,
)
from rbench.testing._networks import flat, forward, input_jacobians, windows
from rbench.testing.case import TOLERANCE, Arrays, Case, array_case, native, native_targets, on_host

_WINDOWS = {
    "kernel 3, stride 2, padding 1": (Window(3, 2, 1), (5, 4)),
    "kernel 2, stride 3": (Window(2, 3), (6, 4)),
    "kernel 4, padding 2": (Window(4, 1, 2), (3, 2)),
}
"""Windows, and the sizes of the images that they are cut out of."""

_WIDE, _CHANNELS = Window(3, 1, 1), 16
"""A convolution of enough channels that a library uses its arithmetic for large ones."""

_ROWS = 2
"""Rows of the cotangents that are pulled back."""


def network_cases() -> Iterator[Case]:
    """Convolutions; `forward`, `pullback` and `pushforward` of every module; `loss` and `gradient` for every loss."""
    yield from map(_patches_case, _WINDOWS)
    yield _convolution_case()
    for name in [*NETWORKS, *MODULES, *CONVOLUTIONS]:
        yield _forward_case(name)
        yield _pullback_case(name)
        yield _pushforward_case(name)
    for loss in LOSSES:
        for name, scale in {"moderate outputs": 1.0, "outputs of up to 80": 40.0}.items():
            yield loss_case("loss", loss, name, scale)
    for name in [*NETWORKS, "residual images"]:
        for loss in LOSSES if name in ("residual", "one layer") else LOSSES[:1]:
            yield gradient_case("gradient", f"{name}, {loss}", example(name), loss)
    for loss in LOSSES:
        yield gradient_case("gradient", f"no bias, {loss}, large parameters", example("no bias", 8.0), loss)


def loss_data(loss: str, scale: float = 1.0) -> tuple[Numbers, Numbers]:
    """Outputs (batch, 3), the first half of the batch of size 1 and the second half of size `scale`, and targets."""
    rng = generator(SEED, "data", 2)
    sizes = np.repeat([1.0, scale], BATCH // 2)
    return np.clip(rng.normal(size=(BATCH, 3)), -2, 2) * sizes[:, None], draw_targets((BATCH,), rng)[loss]


def loss_case(check: str, name: str, word: str, scale: float = 1.0) -> Case:
    """Values, cotangents, Hessians and predictions of a loss, at outputs of up to two and of up to 2 · `scale`."""
    loss = get_loss(name)
    z, y = loss_data(name, scale)

    def compute(backend: Backend) -> Arrays:
        outputs = backend.asarray(z)
        targets = native_targets(backend, loss, y)
        factor = backend.to_numpy(loss.hessian_factor(backend, outputs))
        found = loss.values(backend, outputs, targets), loss.cotangents(backend, outputs, targets)
        hessians = np.swapaxes(factor, 1, 2) @ factor
        return [*map(backend.to_numpy, found), hessians, backend.to_numpy(loss.predictions(backend, outputs))]

    def expect() -> Arrays:
        dense = loss.dense
        pairs = list(zip(z, y, strict=True))
        return [
            np.array([dense.value(*pair) for pair in pairs]),
            np.stack([dense.derivative(*pair) for pair in pairs]),
            np.stack([oracle.hessian(name, row) for row in z]),
            np.stack([dense.mean(row) for row in z]),
        ]

    return Case(check, f"{name}, {word}", compute, expect)


def gradient_case(check: str, name: str, given: Example, loss: str) -> Case:
    """Every layer's gradient (n,)."""

    def compute(backend: Backend) -> Arrays:
        params = native(backend, given.params)
        y = given.targets[loss]
        return on_host(backend, loss_gradient(given.net, params, given.x, y, loss=loss, backend=backend))

    return Case(check, name, compute, partial(given.loss_gradients, loss))


def _cutting_matrix(shape: tuple[int, ...], window: Window) -> Numbers:
    """The matrix (size, …) of the map from an image to its windows, made of the windows of single-pixel images."""
    size = math.prod(shape)
    return windows(np.eye(size).reshape(size, *shape), window).reshape(size, -1)


def _patches_case(name: str) -> Case:
    """Windows cut out of images (batch, channels, *sizes), and random numbers in their shape put back."""
    window, sizes = _WINDOWS[name]
    rng = generator(SEED, "data", 8)
    images = rng.normal(size=(BATCH, 2, *sizes))
    cut = windows(images, window)
    columns = rng.normal(size=(*cut.shape,))

    def function(backend: Backend, images: Array, columns: Array) -> list[Array]:
        return [backend.patches(images, window), backend.scatter(columns, window, sizes)]

    # Putting back is the transpose of cutting out.
    put_back = (columns.reshape(BATCH, -1) @ _cutting_matrix(images.shape[1:], window).T).reshape(images.shape)
    return array_case("patches", name, function, cut, put_back, given=[images, columns])


def _convolution_case() -> Case:
    """The images of a convolution, and cotangents pulled back to its images and to its weight."""
    rng = generator(SEED, "data", 9)
    outputs = 2 * _CHANNELS
    images = rng.normal(size=(BATCH, _CHANNELS, 6, 6))
    weight = rng.normal(size=(outputs, _CHANNELS, _WIDE.kernel, _WIDE.kernel))
    cotangents = rng.normal(size=(BATCH, outputs, 6, 6))

    def function(backend: Backend, images: Array, weight: Array, cotangents: Array) -> list[Array]:
        source = Patches(backend, images, _WIDE)
        by_position = backend.xp.permute_dims(backend.xp.reshape(cotangents, (*cotangents.shape[:2], -1)), (0, 2, 1))
        return [source.convolve(weight), source.pull(cotangents, weight), source.product(by_position)]

    flat = weight.reshape(outputs, -1)
    rows = cotangents.reshape(BATCH, outputs, -1)
    columns = windows(images, _WIDE)
    pulled = (flat.T @ rows).reshape(BATCH, -1) @ _cutting_matrix(images.shape[1:], _WIDE).T
    return array_case(
        "convolution products",
        f"{_CHANNELS} channels",
        function,
        (flat @ columns).reshape(cotangents.shape),
        pulled.reshape(images.shape),
        np.einsum("bot,bit->oi", rows, columns),
        given=[images, weight, cotangents],
        tolerance={**TOLERANCE, "float32": 1e-5},
        why="convolutions in TensorFloat-32 would pass at 1e-3",
    )


def _forward_case(name: str) -> Case:
    given = example(name)

    def compute(backend: Backend) -> Arrays:
        wires = tuple(map(backend.asarray, given.x))
        outputs, _ = given.net.forward(backend, native(backend, given.params), wires)
        return [backend.to_numpy(output) for output in outputs]

    return Case("forward", name, compute, partial(forward, given.net, given.params, given.x))


def _pullback_case(name: str) -> Case:
    """Cotangents at the inputs, then every layer's rows (batch, rows, n), of random rows at the outputs."""
    given = example(name)

    @cache
    def cotangents() -> tuple[Numbers, ...]:
        rng = generator(SEED, "data", 1)
        outputs = forward(given.net, given.params, given.x)
        return tuple(rng.normal(size=(BATCH, _ROWS, *output.shape[1:])) for output in outputs)

    def compute(backend: Backend) -> Arrays:
        params = native(backend, given.params)
        _, tape = given.net.forward(backend, params, tuple(map(backend.asarray, given.x)))
        rows, layers = given.net.pullback(backend, params, tape, tuple(map(backend.asarray, cotangents())))
        return [*(backend.to_numpy(row) for row in rows or ()), *(_dense_rows(backend, layer) for layer in layers)]

    def expect() -> Arrays:
        flat = np.concatenate([rows.reshape(BATCH, _ROWS, -1) for rows in cotangents()], axis=2)
        at_inputs = zip(input_jacobians(given.net, given.params, given.x), given.x, strict=True)
        return [
            *((flat @ jacobian).reshape(BATCH, _ROWS, *wire.shape[1:]) for jacobian, wire in at_inputs),
            *(flat @ jacobian for jacobian in given.jacobians),
        ]

    return Case("pullback", name, compute, expect)


def _pushforward_case(name: str) -> Case:
    """Tangents at the outputs (batch, D), of a tangent at parameters and inputs and of its part at parameters."""
    given = example(name)
    rng = generator(SEED, "data", 12)
    moved = tuple({key: rng.normal(size=array.shape) for key, array in block.items()} for block in given.params)
    tangents = tuple(np.asarray(rng.normal(size=wire.shape)) for wire in given.x)

    def compute(backend: Backend) -> Arrays:
        params = native(backend, given.params)
        outputs, tape = given.net.forward(backend, params, tuple(map(backend.asarray, given.x)))

        def pushed(*at_inputs: Array | None) -> Numbers:
            wires = given.net.pushforward(backend, params, tape, native(backend, moved), at_inputs)
            pairs = zip(outputs, wires, strict=True)
            arrays = [backend.to_numpy(0 * output if wire is None else wire) for output, wire in pairs]
            return np.concatenate([array.reshape(BATCH, -1) for array in arrays], axis=1)

        return [pushed(*map(backend.asarray, tangents)), pushed(*(None for _ in tangents))]

    def expect() -> Arrays:
        size = sum(output.size // BATCH for output in forward(given.net, given.params, given.x))
        of_params: Numbers = np.zeros((BATCH, size))
        for jacobian, block in zip(given.jacobians, moved, strict=True):
            of_params = of_params + jacobian @ flat(block)
        pairs = zip(input_jacobians(given.net, given.params, given.x), tangents, strict=True)
        of_inputs = [(jacobian @ tangent.reshape(BATCH, -1, 1))[:, :, 0] for jacobian, tangent in pairs]
        return [of_params + sum(of_inputs), of_params]

    return Case("pushforward", name, compute, expect)


def _dense_rows(backend: Backend, layer: LayerPullback) -> Numbers:
    inputs = backend.to_numpy(layer.inputs)
    cotangents = backend.to_numpy(layer.cotangents)
    weight = np.einsum("bkto,bti->bkoi", cotangents, inputs).reshape(*cotangents.shape[:2], -1)
    return np.concatenate([weight, cotangents.sum(axis=2)], axis=2) if layer.bias else weight
