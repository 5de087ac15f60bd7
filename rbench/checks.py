"""Checks of what a user gives to the public functions, and of a task's data, before any work starts."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from rbench.arrays import ANY_NUMBER, Bounds, check_numbers, read
from rbench.backend import Array, Backend
from rbench.errors import DtypeError, ParameterError, ShapeError
from rbench.losses import Loss
from rbench.modules import Layer, Module, Params
from rbench.modules.space import Space, describe
from rbench.names import shown
from rbench.plugins import as_backend


def check_backend(backend: Any, params: Any) -> Backend:
    """The backend itself; a name or SPEC stands for that backend in the parameters' dtype, on its default device.

    Raises:
        BackendError, PluginError, SpecError: as `rbench.plugins.as_backend` does.
    """
    first = params[0] if isinstance(params, tuple | list) and params else None
    arrays = list(first.values()) if isinstance(first, Mapping) else []
    return as_backend(backend, getattr(arrays[0], "dtype", "float32") if arrays else "float32")


def check_params(backend: Backend, net: Module, params: Params) -> None:
    """Raise unless `params` has one block of the right arrays, in the backend's dtype, for each layer of `net`."""
    if not isinstance(net, Module):
        raise ParameterError(f"net is {shown(net)}; give a module, such as Linear(20, 16) >> Tanh() >> Linear(16, 5)")
    layers = net.layers
    if not layers:
        raise ParameterError(f"the network has no layer with weights, so there is no gradient: {net!r}")
    if not isinstance(params, tuple | list):
        raise ParameterError(
            f"params is {shown(params)}; give a tuple with one block per layer, as net.init(backend) returns it"
        )
    if len(params) != len(layers):
        raise ParameterError(
            f"{len(params)} parameter blocks for a network of {len(layers)} layers with weights: {net!r}"
        )
    for index, (layer, block) in enumerate(zip(layers, params, strict=True)):
        shapes = layer.shapes
        if not isinstance(block, Mapping) or set(block) != set(shapes):
            has = sorted(map(str, block)) if isinstance(block, Mapping) else shown(block)
            raise ParameterError(f"block {index} of {layer!r} has {has}; it needs {sorted(shapes)}")
        for name, shape in shapes.items():
            _check_parameter(backend, layer, block[name], f"block {index} of {layer!r}: {name}", shape)


def _check_parameter(backend: Backend, layer: Layer, array: Any, name: str, shape: tuple[int, ...]) -> None:
    if not backend.is_native(array) or isinstance(array, np.ma.MaskedArray | np.matrix):
        raise DtypeError(
            f"{name} is {type(array).__name__}, not an array of backend {backend.name!r}; bring it there with "
            "backend.asarray"
        )
    if tuple(array.shape) != shape:
        raise ShapeError(f"{name} has shape {tuple(array.shape)}, not {shape}")
    if array.dtype != backend.float_dtype:
        raise DtypeError(
            f"{name} has dtype {array.dtype}, but the backend computes in {backend.dtype}; convert it, or get a "
            "backend of that dtype"
        )
    if not backend.is_here(array):
        raise DtypeError(
            f"{name} is on another device than {backend.device!r}, the backend's; bring it there with backend.asarray"
        )
    _check_native(backend, array, name)


def check_data(
    backend: Backend, net: Module, params: Params, loss: Loss, x: Any, y: Any
) -> tuple[tuple[Array, ...], Array, int]:
    """The inputs, one per wire, and the targets, as native arrays that fit the network and the loss; and its d outputs.

    Raises:
        ShapeError, ParameterError, DtypeError, RangeError: as `rbench.loss_gradient` says.
    """
    check_params(backend, net, params)
    wires = _inputs(backend, x)
    d = outputs(net, tuple(tuple(wire.shape[1:]) for wire in wires))
    return wires, _targets(backend, loss, y, wires[0].shape[0], d), d


def _inputs(backend: Backend, x: Any) -> tuple[Array, ...]:
    """The inputs as native arrays, one per wire, all with one batch size."""
    if isinstance(x, tuple):
        wires = tuple(_numbers(backend, wire, f"x[{index}]") for index, wire in enumerate(x))
    else:
        wires = (_numbers(backend, x, "x"),)
    if not wires or any(wire.ndim < 2 for wire in wires) or len({wire.shape[0] for wire in wires}) != 1:
        shapes = ", ".join(str(tuple(wire.shape)) for wire in wires) or "(): it is empty"
        raise ShapeError(f"x has shape {shapes}; give (batch, *shape) with one batch size for all inputs")
    if wires[0].shape[0] == 0:
        raise ShapeError("x holds no data: its batch size is 0")
    return wires


def _targets(backend: Backend, loss: Loss, y: Any, batch: int, d: int) -> Array:
    """The targets as a native array that fits the loss, the batch size and the network's d outputs."""
    if loss.integer_targets:
        host = read(y, "y", backend.to_numpy)
        check_host_targets(host, "y", loss, batch, d, backend.dtype)
        return backend.labels(host)
    targets = _numbers(backend, y, "y", loss.bounds)
    _check_shape(targets, "y", loss, (batch, d))
    return targets


def outputs(net: Module, space: Space) -> int:
    """Size of the network's one output, given the shapes of its inputs.

    Raises:
        ShapeError: the inputs do not fit, or there is not one output of one axis.
    """
    out = net.out_space(space)
    if len(out) != 1 or out[0] is None or len(out[0]) != 1 or out[0][0] is None:
        raise ShapeError(f"a loss needs one output of shape (d), but the network returns {describe(out)}")
    return out[0][0]


def check_host_targets(host: np.ndarray[Any, Any], name: str, loss: Loss, batch: int, d: int, dtype: str) -> None:
    """Raise unless targets on the host fit the loss, the batch size, and the network's d outputs."""
    if not loss.integer_targets:
        _check_shape(host, name, loss, (batch, d))
        check_numbers(host, name, dtype, loss.bounds)
        return
    if host.dtype.kind not in "iu":
        raise DtypeError(f"{name} has dtype {host.dtype}; loss {loss.name!r} needs integer class labels")
    if host.shape != (batch,):
        raise ShapeError(f"{name} has shape {host.shape}; loss {loss.name!r} needs labels of shape {(batch,)}")
    low, high = int(host.min()), int(host.max())
    if low < 0 or high >= d:
        place = int(np.argmax((host < 0) | (host >= d)))
        raise ShapeError(
            f"{name} has labels from {low} to {high}, but the network has {d} outputs: 0 to {d - 1}; the first wrong "
            f"label is {host[place]} at [{place}]"
        )


def _check_shape(targets: Array, name: str, loss: Loss, shape: tuple[int, int]) -> None:
    if tuple(targets.shape) != shape:
        raise ShapeError(f"{name} has shape {tuple(targets.shape)}; loss {loss.name!r} needs {shape}")


def _numbers(backend: Backend, values: Any, name: str, bounds: Bounds = ANY_NUMBER) -> Array:
    """Values as a native array in the backend's dtype, all finite in it, and within bounds."""
    if backend.is_native(values) and not isinstance(values, np.ndarray) and values.dtype == backend.float_dtype:
        _check_native(backend, values, name, bounds)
        return backend.asarray(values)
    host = read(values, name, backend.to_numpy)
    check_numbers(host, name, backend.dtype, bounds)
    return backend.asarray(host)


def _check_native(backend: Backend, array: Array, name: str, bounds: Bounds = ANY_NUMBER) -> None:
    """`check_numbers` of a native array, which is brought to the host only where a number is wrong."""
    if not backend.has_numbers(array):
        return
    if not backend.device.startswith("cpu") and 0 not in array.shape:
        with suppress(Exception):  # such as for an array that is not dense, which `read` reports
            low, high = (float(backend.to_numpy(pick(array))) for pick in (backend.xp.min, backend.xp.max))
            if bounds.holds(low, high, backend.dtype):
                return
    check_numbers(read(array, name, backend.to_numpy), name, backend.dtype, bounds)
