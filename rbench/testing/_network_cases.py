"""Cases of modules, losses and gradients."""

from collections.abc import Iterator
from functools import partial

import numpy as np

from rbench.api import loss_gradient
from rbench.backend import Backend
from rbench.losses import get_loss
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
from rbench.testing._networks import Numbers
from rbench.testing.case import TOLERANCE, Arrays, Case, native, on_host

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
    """Convolutions; `forward` and `pullback` of every module and network; `loss` and `gradient` for every loss."""
    for name, (window, sizes) in _WINDOWS.items():
        yield Case("patches", name, partial(_patches, window, sizes), partial(_expected_patches, window, sizes))
    yield Case(
        "convolution products",
        f"{_CHANNELS} channels",
        _convolution,
        _expected_convolution,
        tolerance={**TOLERANCE, "float32": 1e-5},
        why="convolutions in TensorFloat-32 would pass at 1e-3",
    )
    for name in [*NETWORKS, *MODULES, *CONVOLUTIONS]:
        case = example(name)
        yield Case("forward", name, partial(_forward, case), partial(_expected_forward, case))
        yield Case("pullback", name, partial(_pullback, case), partial(_expected_pullback, case))
    for loss in LOSSES:
        for name, scale in {"moderate outputs": 1.0, "outputs of up to 80": 40.0}.items():
            yield loss_case("loss", loss, name, scale)
    for name in [*NETWORKS, "residual images"]:
        for loss in LOSSES if name in ("residual", "one layer") else LOSSES[:1]:
            case = example(name)
            yield Case("gradient", f"{name}, {loss}", partial(gradient, case, loss), partial(case.gradients, loss))
    for loss in LOSSES:
        case = example("no bias", 8.0)
        name = f"no bias, {loss}, large parameters"
        yield Case("gradient", name, partial(gradient, case, loss), partial(case.gradients, loss))


def loss_case(check: str, loss: str, name: str, scale: float = 1.0) -> Case:
    """Values, cotangents, Hessians and predictions of a loss, at outputs of up to two and of up to 2 · `scale`."""
    return Case(check, f"{loss}, {name}", partial(_loss, loss, scale), partial(_expected_loss, loss, scale))


def _window_data(window: Window, sizes: tuple[int, int]) -> tuple[Numbers, Numbers]:
    """Images (batch, channels, *sizes), and random numbers in the shape of their windows."""
    rng = generator(SEED, "data", 8)
    images: Numbers = rng.normal(size=(BATCH, 2, *sizes))
    shape = oracle.windows(images, window.kernel, window.stride, window.padding).shape[1:]
    return images, rng.normal(size=(BATCH, *shape))


def _patches(window: Window, sizes: tuple[int, int], backend: Backend) -> Arrays:
    """Windows cut out, and put back."""
    images, columns = map(backend.asarray, _window_data(window, sizes))
    found = backend.patches(images, window), backend.scatter(columns, window, sizes)
    return [backend.to_numpy(array) for array in found]


def _expected_patches(window: Window, sizes: tuple[int, int]) -> Arrays:
    """Putting back is the transpose of cutting out, whose matrix is made of the windows of single-pixel images."""
    images, columns = _window_data(window, sizes)
    size, shape = images[0].size, (window.kernel, window.stride, window.padding)
    matrix = oracle.windows(np.eye(size).reshape(size, *images.shape[1:]), *shape).reshape(size, -1)
    return [oracle.windows(images, *shape), (columns.reshape(BATCH, -1) @ matrix.T).reshape(images.shape)]


def _convolution_data() -> tuple[Numbers, Numbers, Numbers]:
    """Images, a weight for twice their channels, and cotangents at the outputs, of the same size."""
    rng = generator(SEED, "data", 9)
    outputs = 2 * _CHANNELS
    shapes = (BATCH, _CHANNELS, 6, 6), (outputs, _CHANNELS, _WIDE.kernel, _WIDE.kernel), (BATCH, outputs, 6, 6)
    images, weight, cotangents = (rng.normal(size=shape) for shape in shapes)
    return images, weight, cotangents


def _convolution(backend: Backend) -> Arrays:
    """The images of a convolution, and cotangents pulled back to its images and to its weight."""
    images, weight, cotangents = map(backend.asarray, _convolution_data())
    source = Patches(backend, images, _WIDE)
    by_position = backend.xp.permute_dims(backend.xp.reshape(cotangents, (*cotangents.shape[:2], -1)), (0, 2, 1))
    found = source.convolve(weight), source.pull(cotangents, weight), source.product(by_position)
    return [backend.to_numpy(array) for array in found]


def _expected_convolution() -> Arrays:
    """By windows, and the matrix of the map from an image to its windows."""
    images, weight, cotangents = _convolution_data()
    size, shape = images[0].size, (_WIDE.kernel, _WIDE.stride, _WIDE.padding)
    flat, rows = weight.reshape(len(weight), -1), cotangents.reshape(*cotangents.shape[:2], -1)
    columns = oracle.windows(images, *shape)
    matrix = oracle.windows(np.eye(size).reshape(size, *images.shape[1:]), *shape).reshape(size, -1)
    pulled = (flat.T @ rows).reshape(BATCH, -1) @ matrix.T
    return [
        (flat @ columns).reshape(cotangents.shape),
        pulled.reshape(images.shape),
        np.einsum("bot,bit->oi", rows, columns),
    ]


def _forward(case: Example, backend: Backend) -> Arrays:
    outputs, _ = case.net.forward(backend, native(backend, case.params), tuple(map(backend.asarray, case.x)))
    return [backend.to_numpy(output) for output in outputs]


def _expected_forward(case: Example) -> Arrays:
    return oracle.forward(case.net, case.params, case.x)


def _cotangents(case: Example) -> tuple[Numbers, ...]:
    """Random rows at the outputs, (batch, rows, *shape), one array per wire."""
    rng = generator(SEED, "data", 1)
    return tuple(rng.normal(size=(BATCH, _ROWS, *output.shape[1:])) for output in _expected_forward(case))


def _pullback(case: Example, backend: Backend) -> Arrays:
    """Cotangents at the inputs, then every layer's rows (batch, rows, n)."""
    params = native(backend, case.params)
    _, tape = case.net.forward(backend, params, tuple(map(backend.asarray, case.x)))
    rows, layers = case.net.pullback(backend, params, tape, tuple(map(backend.asarray, _cotangents(case))))
    return [*(backend.to_numpy(row) for row in rows or ()), *(_dense_rows(backend, layer) for layer in layers)]


def _dense_rows(backend: Backend, layer: LayerPullback) -> Numbers:
    inputs, cotangents = backend.to_numpy(layer.inputs), backend.to_numpy(layer.cotangents)
    weight = np.einsum("bkto,bti->bkoi", cotangents, inputs).reshape(*cotangents.shape[:2], -1)
    return np.concatenate([weight, cotangents.sum(axis=2)], axis=2) if layer.bias else weight


def _expected_pullback(case: Example) -> Arrays:
    flat = np.concatenate([rows.reshape(BATCH, _ROWS, -1) for rows in _cotangents(case)], axis=2)
    at_inputs = oracle.input_jacobians(case.net, case.params, case.x)
    shapes = [(BATCH, _ROWS, *wire.shape[1:]) for wire in case.x]
    return [
        *((flat @ jacobian).reshape(shape) for jacobian, shape in zip(at_inputs, shapes, strict=True)),
        *(flat @ jacobian for jacobian in case.jacobians),
    ]


def loss_data(loss: str, scale: float = 1.0) -> tuple[Numbers, Numbers]:
    """Outputs (batch, 3), the first half of the batch of size 1 and the second half of size `scale`, and targets."""
    rng = generator(SEED, "data", 2)
    sizes = np.repeat([1.0, scale], BATCH // 2)
    return np.clip(rng.normal(size=(BATCH, 3)), -2, 2) * sizes[:, None], draw_targets((BATCH,), rng)[loss]


def _loss(name: str, scale: float, backend: Backend) -> Arrays:
    z, y = loss_data(name, scale)
    loss = get_loss(name)
    outputs = backend.asarray(z)
    targets = backend.labels(y) if loss.integer_targets else backend.asarray(y)
    factor = backend.to_numpy(loss.hessian_factor(backend, outputs))
    found = loss.values(backend, outputs, targets), loss.cotangents(backend, outputs, targets)
    hessians = np.swapaxes(factor, 1, 2) @ factor
    return [*map(backend.to_numpy, found), hessians, backend.to_numpy(loss.predictions(backend, outputs))]


def _expected_loss(name: str, scale: float) -> Arrays:
    z, y = loss_data(name, scale)
    pairs = list(zip(z, y, strict=True))
    return [
        np.array([oracle.value(name, *pair) for pair in pairs]),
        np.stack([get_loss(name).dense.derivative(*pair) for pair in pairs]),
        np.stack([oracle.hessian(name, row) for row in z]),
        np.stack([oracle.predictions(name, row) for row in z]),
    ]


def gradient(case: Example, loss: str, backend: Backend) -> Arrays:
    """Every layer's gradient (n,)."""
    params = native(backend, case.params)
    y = case.targets[loss]
    return on_host(backend, loss_gradient(case.net, params, case.x, y, loss=loss, backend=backend))
