"""Checks of what a user gives to the public functions, before any work starts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rbench.backend import Array, Backend
from rbench.errors import DtypeError, ParameterError, ShapeError
from rbench.losses import Loss
from rbench.modules import Module, Params
from rbench.modules.base import describe


def check_params(backend: Backend, net: Module, params: Params) -> None:
    """Raise unless `params` has one block of the right arrays, in the backend's dtype, for each layer of `net`."""
    layers = net.layers
    if not layers:
        raise ParameterError(f"the network has no layer with weights, so there is no gradient: {net!r}")
    if len(params) != len(layers):
        raise ParameterError(
            f"{len(params)} parameter blocks for a network of {len(layers)} layers with weights: {net!r}"
        )
    for index, (layer, block) in enumerate(zip(layers, params, strict=True)):
        shapes = layer.shapes
        if not isinstance(block, Mapping) or set(block) != set(shapes):
            has = sorted(block) if isinstance(block, Mapping) else repr(block)
            raise ParameterError(f"block {index} of {layer!r} has {has}; it needs {sorted(shapes)}")
        for name, shape in shapes.items():
            array = block[name]
            if not hasattr(array, "shape"):
                raise DtypeError(f"block {index} of {layer!r}: {name} is {type(array).__name__}, not a native array")
            if tuple(array.shape) != shape:
                raise ShapeError(f"block {index} of {layer!r}: {name} has shape {tuple(array.shape)}, not {shape}")
            if str(array.dtype) == backend.dtype and array.dtype != backend.float_dtype:
                raise DtypeError(
                    f"block {index} of {layer!r}: {name} is {type(array).__name__}, not an array of backend "
                    f"{backend.name!r}; bring it there with backend.asarray"
                )
            if array.dtype != backend.float_dtype:
                raise DtypeError(
                    f"block {index} of {layer!r}: {name} has dtype {array.dtype}, but the backend computes in "
                    f"{backend.dtype}; convert it, or get a backend of that dtype"
                )


def check_inputs(backend: Backend, net: Module, x: Any) -> tuple[Array, ...]:
    """The inputs as native arrays, one a wire, all with one batch size."""
    wires = tuple(backend.floats(wire, "x") for wire in (x if isinstance(x, tuple) else (x,)))
    if any(wire.ndim < 2 for wire in wires) or len({wire.shape[0] for wire in wires}) != 1:
        shapes = ", ".join(str(tuple(wire.shape)) for wire in wires)
        raise ShapeError(f"x has shape {shapes}; give (batch, *shape) with one batch size for all inputs")
    if wires[0].shape[0] == 0:
        raise ShapeError("x holds no data: its batch size is 0")
    net.out_space(tuple(tuple(wire.shape[1:]) for wire in wires))
    return wires


def check_targets(backend: Backend, net: Module, loss: Loss, wires: tuple[Array, ...], y: Any) -> Array:
    """The targets as a native array that fits the loss and the network's one output."""
    space = net.out_space(tuple(tuple(wire.shape[1:]) for wire in wires))
    if len(space) != 1 or space[0] is None or len(space[0]) != 1:
        raise ShapeError(f"a loss needs one output of shape (d), but the network returns {describe(space)}")
    batch, d = wires[0].shape[0], space[0][0]
    if not loss.integer_targets:
        targets = backend.floats(y, "y")
        if tuple(targets.shape) != (batch, d):
            raise ShapeError(f"y has shape {tuple(targets.shape)}; loss {loss.name!r} needs {(batch, d)}")
        return targets
    host = y if isinstance(y, np.ndarray) else np.asarray(backend.to_numpy(y))
    if host.dtype.kind not in "iu":
        raise DtypeError(f"y has dtype {host.dtype}; loss {loss.name!r} needs integer class labels")
    if host.shape != (batch,):
        raise ShapeError(f"y has shape {host.shape}; loss {loss.name!r} needs labels of shape {(batch,)}")
    if host.min() < 0 or host.max() >= (d or 0):
        raise ShapeError(
            f"y has labels from {host.min()} to {host.max()}, but the network has {d} outputs: 0 to {(d or 0) - 1}"
        )
    return backend.labels(host)
