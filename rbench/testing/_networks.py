"""An independent forward pass of every module in plain NumPy for complex numbers, and Jacobians by complex steps.

Of a module only the structure is read: its type, its parts and its sizes. A derivative is f'(x) = Im f(x + ih)/h
(Squire and Trapp 1998), exact to rounding for h as small as `STEP`. All entries of a block are moved at once:
activations are (variants, batch, *shape) and parameters (variants, *shape) or (*shape), with one variant where all
agree.

A flat block (n,) is the weight in C order, then the bias. The D outputs are those of all wires, flattened and
concatenated.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.special import erf

from rbench.errors import ParameterError
from rbench.losses.dense import STEP, Numbers
from rbench.modules import (
    GELU,
    Add,
    AvgPool2d,
    Conv2d,
    Copy,
    Dot,
    Equilibrium,
    Exp,
    Flatten,
    Identity,
    JetLinear,
    JetTanh,
    Layer,
    Linear,
    MaxPool2d,
    Module,
    Parallel,
    Params,
    ReLU,
    ScaleShift,
    Sequential,
    Sigmoid,
    Split,
    Tanh,
)
from rbench.modules.module import Block
from rbench.sliding_window import Window

_POINTWISE: dict[type[Module], Callable[[Numbers], Numbers]] = {
    Exp: np.exp,
    GELU: lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    ReLU: lambda x: np.where(x.real > 0, x, 0 * x),
    Sigmoid: lambda x: 1 / (1 + np.exp(-x)),
    Tanh: np.tanh,
}


FIXED_POINT = 400
"""Iterations towards an equilibrium; each of the examples here brings it nearer by a third at least."""


def flat(block: Mapping[str, Any]) -> Numbers:
    """A layer's block as one vector (n,): the weight in C order, then the bias."""
    return np.concatenate([np.asarray(block[key], np.float64).ravel() for key in ("weight", "bias") if key in block])


def shaped(vector: Numbers, layer: Layer) -> Block:
    """The inverse of `flat`: the block of a layer; (…, n) gives arrays (…, *shape)."""
    block = {}
    start = 0
    for name, shape in layer.shapes.items():
        stop = start + int(np.prod(shape))
        block[name] = vector[..., start:stop].reshape(*vector.shape[:-1], *shape)
        start = stop
    return block


def forward(net: Module, params: Params, x: Any) -> tuple[Numbers, ...]:
    """Outputs (batch, *shape), one array per wire, for x (batch, *shape) or a tuple of one array per wire."""
    return tuple(wire[0] for wire in _evaluate(net, params, _lifted(x))[0])


def jacobians(net: Module, params: Params, x: Any) -> list[Numbers]:
    """For every layer, the Jacobian (batch, D, n) of the outputs with respect to its flat block."""
    found = []
    for index, layer in enumerate(net.layers):
        vector = flat(params[index])
        moved = shaped(vector + 1j * STEP * np.eye(len(vector)), layer)
        found.append(_derivatives(net, _replaced(params, index, moved), _lifted(x)))
    return found


def input_jacobians(net: Module, params: Params, x: Any) -> list[Numbers]:
    """For every wire, the Jacobian (batch, D, n) of the outputs with respect to its flattened input."""
    wires = _lifted(x)
    found = []
    for index, wire in enumerate(wires):
        shape = wire.shape[2:]
        steps = 1j * STEP * np.eye(int(np.prod(shape))).reshape(-1, 1, *shape)
        found.append(_derivatives(net, params, (*wires[:index], wire + steps, *wires[index + 1 :])))
    return found


def layer_inputs(net: Module, params: Params, x: Any) -> list[Numbers]:
    """The inputs (batch, positions, fan_in) of every layer; for a ScaleShift its one input, the number 1."""
    _, seen = _evaluate(net, params, _lifted(x))
    return [inputs[0] for inputs in seen]


def layer_jacobians(net: Module, params: Params, x: Any) -> list[Numbers]:
    """For every layer, the Jacobian (batch, D, positions, fan_out) of the outputs by the layer's own outputs.

    A number is added to each of these; for a ScaleShift they are the gains and offsets themselves.
    """
    found = []
    for index, (layer, inputs) in enumerate(zip(net.layers, layer_inputs(net, params, x), strict=True)):
        shape = (inputs.shape[1], layer.fan_out)
        moves = 1j * STEP * np.eye(int(np.prod(shape)))
        if isinstance(layer, ScaleShift):
            moved = shaped(flat(params[index]) + moves, layer)
        else:
            moved = params[index] | {"move": moves.reshape(-1, 1, *shape)}
        jacobian = _derivatives(net, _replaced(params, index, moved), _lifted(x))
        found.append(jacobian.reshape(*jacobian.shape[:2], *shape))
    return found


def _replaced(params: Params, index: int, block: Block) -> Params:
    return (*params[:index], block, *params[index + 1 :])


def _lifted(x: Any) -> tuple[Numbers, ...]:
    """Inputs as wires of one variant."""
    return tuple(np.asarray(wire)[None] for wire in (x if isinstance(x, tuple) else (x,)))


def _derivatives(net: Module, params: Params, wires: tuple[Numbers, ...]) -> Numbers:
    """Derivatives (batch, D, variants) of the outputs of variants that are moved by i · STEP."""
    outputs, _ = _evaluate(net, params, wires)
    variants = max(len(output) for output in outputs)
    parts = [output.imag.reshape(*output.shape[:2], -1) for output in outputs]
    whole = [np.broadcast_to(part, (variants, *part.shape[1:])) for part in parts]
    return np.moveaxis(np.concatenate(whole, axis=2), 0, 2) / STEP


def _evaluate(net: Module, params: Params, wires: tuple[Numbers, ...]) -> tuple[tuple[Numbers, ...], list[Numbers]]:
    """f(w, x) for several variants of w or x.

    Args:
        net: a network of rbench's own modules.
        params: one block per layer, arrays (*shape) or (variants, *shape); `move` in it (variants, 1, positions,
            fan_out) is added to a layer's outputs.
        wires: inputs (variants, batch, *shape), one array per wire; one variant, or as many as others have.

    Returns:
        Outputs (variants, batch, *shape), one per wire; and the inputs (variants, batch, positions, fan_in) of every
        layer with weights, in order of their blocks.

    Raises:
        ParameterError: a module whose forward pass is not written here.
    """
    seen: list[Numbers] = []
    return _apply(net, iter(params), wires, seen), seen


def _apply(
    module: Module, blocks: Iterator[Block], wires: tuple[Numbers, ...], seen: list[Numbers]
) -> tuple[Numbers, ...]:
    match module:
        case Sequential(modules=parts):
            for part in parts:
                wires = _apply(part, blocks, wires, seen)
            return wires
        case Parallel(modules=parts):
            rest = iter(wires)
            shares = [tuple(next(rest) for _ in part.in_space) for part in parts]
            return tuple(
                y for part, share in zip(parts, shares, strict=True) for y in _apply(part, blocks, share, seen)
            )
        case Linear():
            seen.append(wires[0][:, :, None, :])
            return (_linear(module, next(blocks), seen[-1])[:, :, 0, :],)
        case Conv2d(kernel=kernel, stride=stride, padding=padding):
            windows = np.moveaxis(_windows(wires[0], kernel, stride, padding), 2, 4)
            seen.append(windows.reshape(*windows.shape[:2], windows.shape[2] * windows.shape[3], -1))
            y = np.moveaxis(_linear(module, next(blocks), seen[-1]), 3, 2)
            return (y.reshape(*y.shape[:3], *windows.shape[2:4]),)
        case Equilibrium():
            return (_equilibrium(module, next(blocks), wires[0], seen),)
        case ScaleShift():
            seen.append(np.ones((1, wires[0].shape[1], 1, 1)))
            return (_scaled(next(blocks), wires[0]),)
        case JetLinear():
            seen.append(np.concatenate([wires[0], np.eye(wires[0].shape[2], 1) + 0 * wires[0][..., :1]], axis=3))
            return (_linear(module, next(blocks), seen[-1]),)
        case JetTanh():
            return (_tanh_of_jets(wires[0]),)
        case AvgPool2d(kernel=kernel):
            return (_windows(wires[0], kernel, kernel).mean(axis=(-2, -1)),)
        case MaxPool2d(kernel=kernel):
            return (_largest(_windows(wires[0], kernel, kernel)),)
        case Identity():
            return wires
        case Copy():
            return (wires[0], wires[0])
        case Add():
            return (wires[0] + wires[1],)
        case Dot():
            products = wires[0] * wires[1]
            return (products.reshape(*products.shape[:2], -1).sum(axis=2, keepdims=True),)
        case Split(size=size):
            return wires[0][..., :size], wires[0][..., size:]
        case Flatten():
            return (wires[0].reshape(*wires[0].shape[:2], -1),)
        case _ if type(module) in _POINTWISE:
            return (_POINTWISE[type(module)](wires[0]),)
    raise ParameterError(f"the oracle has no forward pass for {module!r}; write one in rbench/testing/_networks.py")


def _linear(layer: Layer, block: Block, inputs: Numbers) -> Numbers:
    """Outputs (variants, batch, positions, fan_out) of inputs (variants, batch, positions, fan_in)."""
    weight = block["weight"]
    variants = weight.shape[: weight.ndim - len(layer.weight_shape)]
    matrix = weight.reshape(*variants, 1, layer.fan_out, layer.fan_in)
    offset = block["bias"][..., None, None, :] if layer.bias else 0
    return np.asarray(inputs @ np.swapaxes(matrix, -1, -2) + offset + block.get("move", 0))


def _equilibrium(layer: Equilibrium, block: Block, x: Numbers, seen: list[Numbers]) -> Numbers:
    """The fixed point (variants, batch, out) of z ↦ tanh(W [κz; x] + b), by going there."""
    z: Numbers = np.zeros((1, x.shape[1], layer.out_features))
    for _ in range(FIXED_POINT):
        inputs = _side_by_side(layer.feedback * z, x)[:, :, None, :]
        z = np.tanh(_linear(layer, block, inputs)[:, :, 0, :])
    seen.append(inputs)
    return z


def _side_by_side(z: Numbers, x: Numbers) -> Numbers:
    """[z; x] for every variant of either."""
    variants = max(len(z), len(x))
    return np.concatenate([np.broadcast_to(part, (variants, *part.shape[1:])) for part in (z, x)], axis=2)


def _scaled(block: Block, x: Numbers) -> Numbers:
    """w_c x_c + b_c for every channel c, of x (variants, batch, channels, *shape)."""
    gain, offset = (
        array.reshape(*array.shape[:-1], 1, array.shape[-1], *[1] * (x.ndim - 3))
        for array in (block["weight"], block["bias"])
    )
    return np.asarray(gain * x + offset)


def _tanh_of_jets(x: Numbers) -> Numbers:
    """tanh(u), ∂_i tanh(u) and Δ tanh(u), of jets of u (variants, batch, components, n)."""
    u, slopes, laplacian = x[:, :, :1], x[:, :, 1:-1], x[:, :, -1:]
    first = 1 / np.cosh(u) ** 2
    second = -2 * np.sinh(u) / np.cosh(u) ** 3
    squares = (slopes**2).sum(axis=2, keepdims=True)
    return np.concatenate([np.tanh(u), first * slopes, first * laplacian + second * squares], axis=2)


def _windows(x: Numbers, kernel: int, stride: int, padding: int = 0) -> Numbers:
    """Windows (variants, batch, channels, rows, columns, kernel, kernel) of images, `stride` apart."""
    padded = np.pad(x, [(0, 0)] * 3 + [(padding, padding)] * 2)
    every = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), axis=(3, 4))
    return np.asarray(every[:, :, :, ::stride, ::stride])


def windows(images: Numbers, window: Window) -> Numbers:
    """Windows (batch, channels · kernel², positions) of images (batch, channels, height, width), in C order."""
    cut = np.moveaxis(_windows(images[None], window.kernel, window.stride, window.padding)[0], (2, 3), (4, 5))
    return np.asarray(cut.reshape(len(cut), -1, cut.shape[4] * cut.shape[5]))


def _largest(windows: Numbers) -> Numbers:
    """The number with the largest real part, the first of several, over the last two axes."""
    flattened = windows.reshape(*windows.shape[:-2], -1)
    first = flattened.real.argmax(axis=-1)
    return np.take_along_axis(flattened, first[..., None], axis=-1)[..., 0]
