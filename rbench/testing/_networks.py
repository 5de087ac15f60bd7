"""Every module's forward pass, a second time in plain NumPy for complex numbers, and Jacobians by complex steps.

Only structure is read of a module: its type, its parts and its sizes. A derivative is f'(x) = Im f(x + ih)/h (Squire
and Trapp 1998), exact to rounding for h as small as `STEP`. All entries of a block are moved at once: activations are
(variants, batch, *shape) and parameters (variants, *shape) or (*shape), with one variant where all agree.

A flat block (n,) is the weight in C order, then the bias. D outputs are those of all wires, flattened one after the
other.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from scipy.special import erf

from rbench.errors import ParameterError
from rbench.modules import (
    GELU,
    Add,
    Copy,
    Exp,
    Flatten,
    Identity,
    Layer,
    Linear,
    Module,
    Parallel,
    Params,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)
from rbench.modules.base import Block

Numbers: TypeAlias = np.ndarray[Any, Any]
"""A NumPy array of real or complex numbers."""

_POINTWISE: dict[type[Module], Callable[[Numbers], Numbers]] = {
    Exp: np.exp,
    GELU: lambda x: x * (1 + erf(x / np.sqrt(2))) / 2,
    ReLU: lambda x: np.where(x.real > 0, x, 0 * x),
    Sigmoid: lambda x: 1 / (1 + np.exp(-x)),
    Tanh: np.tanh,
}
STEP = 1e-30
"""h of the complex steps."""


def flat(block: Mapping[str, Any]) -> Numbers:
    """A layer's block as one vector (n,): the weight in C order, then the bias."""
    return np.concatenate([np.asarray(block[key], np.float64).ravel() for key in ("weight", "bias") if key in block])


def shaped(vector: Numbers, layer: Layer) -> Block:
    """The inverse of `flat`: the block of a layer; (…, n) gives arrays (…, *shape)."""
    cut = layer.fan_out * layer.fan_in
    block = {"weight": vector[..., :cut].reshape(*vector.shape[:-1], *layer.weight_shape)}
    return {**block, "bias": vector[..., cut:]} if layer.bias else block


def forward(net: Module, params: Params, x: Any) -> tuple[Numbers, ...]:
    """Outputs (batch, *shape), one array a wire, for x (batch, *shape) or a tuple of one array a wire."""
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
    wires, found = _lifted(x), []
    for index, wire in enumerate(wires):
        shape = wire.shape[2:]
        steps = 1j * STEP * np.eye(int(np.prod(shape))).reshape(-1, 1, *shape)
        found.append(_derivatives(net, params, (*wires[:index], wire + steps, *wires[index + 1 :])))
    return found


def layer_inputs(net: Module, params: Params, x: Any) -> list[Numbers]:
    """The inputs (batch, fan_in) of every layer."""
    return [inputs[0] for inputs in _evaluate(net, params, _lifted(x))[1]]


def layer_jacobians(net: Module, params: Params, x: Any) -> list[Numbers]:
    """For every layer, the Jacobian (batch, D, fan_out) of the outputs with respect to the layer's own outputs.

    That is the one with respect to its bias; a layer without is given a bias of zero.
    """
    found = []
    for index, layer in enumerate(net.layers):
        bias = params[index].get("bias", np.zeros(layer.fan_out)) + 1j * STEP * np.eye(layer.fan_out)
        moved = {"weight": params[index]["weight"], "bias": bias}
        found.append(_derivatives(net, _replaced(params, index, moved), _lifted(x)))
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
        params: one block a layer, arrays (*shape) or (variants, *shape).
        wires: inputs (variants, batch, *shape), one array a wire; one variant, or as many as others have.

    Returns:
        Outputs (variants, batch, *shape), one a wire; and the inputs (variants, batch, fan_in) of every layer with
        weights, in order of their blocks.

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
            shares = [tuple(next(rest) for _ in range(_wires(part))) for part in parts]
            return tuple(
                y for part, share in zip(parts, shares, strict=True) for y in _apply(part, blocks, share, seen)
            )
        case Linear():
            seen.append(wires[0])
            return (_linear(next(blocks), wires[0]),)
        case Identity():
            return wires
        case Copy():
            return (wires[0], wires[0])
        case Add():
            return (wires[0] + wires[1],)
        case Flatten():
            return (wires[0].reshape(*wires[0].shape[:2], -1),)
        case _ if type(module) in _POINTWISE:
            return (_POINTWISE[type(module)](wires[0]),)
    raise ParameterError(f"the oracle has no forward pass for {module!r}; write one in rbench/testing/_networks.py")


def _linear(block: Block, x: Numbers) -> Numbers:
    y: Numbers = x @ np.swapaxes(block["weight"], -1, -2)
    return y + block["bias"][..., None, :] if "bias" in block else y


def _wires(module: Module) -> int:
    """How many wires a module takes."""
    match module:
        case Sequential(modules=parts):
            return _wires(parts[0])
        case Parallel(modules=parts):
            return sum(map(_wires, parts))
        case Add():
            return 2
    return 1
