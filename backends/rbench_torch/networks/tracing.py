"""PyTorch's modules as networks of the algebra: what is traced, and where it stands in the user's code."""

import inspect
import linecache
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import fx, nn

from rbench.errors import DtypeError, ParameterError, ShapeError, TracingError
from rbench.modules import Module, Params
from rbench.names import shown
from rbench_torch.networks.graph import Network, Parameters, described


def from_torch(module: Any, shape: tuple[int, ...] | None = None) -> tuple[Module, Params]:
    """See `rbench.from_torch`."""
    net, parameters = trace(module, shape)
    arrays = ({name: value.detach().cpu().numpy().copy() for name, value in block.items()} for block in parameters)
    return net, tuple(arrays)


def trace(module: Any, shape: tuple[int, ...] | None = None) -> tuple[Module, Parameters]:
    """A network that computes what the module does, and the module's parameters in the order of the network's layers.

    Args:
        module: an `nn.Module` of one input, made of what the algebra has.
        shape: shape of a datum, where the module's meaning depends on it.

    Raises:
        TracingError, DtypeError, ParameterError: as `rbench.from_torch` says.
    """
    if not isinstance(module, nn.Module):
        raise TracingError(f"module is {shown(module)}; give an nn.Module, such as nn.Sequential(nn.Linear(20, 5))")
    if shape is not None and not (isinstance(shape, tuple | list) and all(isinstance(n, int) and n > 0 for n in shape)):
        raise ShapeError(f"shape is {shown(shape)}; give the sizes of one datum, such as (3, 32, 32)")
    tracer = _Tracer()
    root = nn.Sequential(module) if tracer.is_leaf_module(module, "") else module
    try:
        graph = tracer.trace(root)
    except Exception as error:  # whatever the user's forward raises when it is given no numbers
        frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
        at = _place([*_users(frames)][-1:], "")
        raise TracingError(f"the module cannot be traced{at}: {type(error).__name__}: {error}") from error
    network = Network(root, None if shape is None else tuple(shape))
    for node in graph.nodes:
        try:
            network.read(node)
        except (TracingError, ShapeError) as error:
            raise TracingError(f"{described(node)}: {error}") from None
    net, parameters = network.written()
    _check(module, parameters)
    return net, parameters


class _Tracer(fx.Tracer):  # type: ignore[misc]
    """Notes at every node the line of the user's code that made it."""

    def create_proxy(self, *given: Any, **keywords: Any) -> Any:
        proxy = super().create_proxy(*given, **keywords)
        within = []
        for frame, _ in traceback.walk_stack(inspect.currentframe()):
            if frame.f_code is trace.__code__:
                break
            within.append(frame)
        proxy.node.meta["line"] = _place([*_users(within)][:1], f" of {shown(type(self.root).__name__)}")
        return proxy


def _users(frames: Any) -> Iterator[FrameType]:
    """The frames that run neither PyTorch's code nor this file's."""
    ours = (f"{Path(torch.__file__).parent}/", __file__)
    return (frame for frame in frames if not frame.f_code.co_filename.startswith(ours))


def _place(frames: list[FrameType], otherwise: str) -> str:
    """A frame's line in words."""
    for frame in frames:
        file = frame.f_code.co_filename
        return f" at {file}:{frame.f_lineno}, `{linecache.getline(file, frame.f_lineno).strip()}`"
    return otherwise


def _check(module: nn.Module, parameters: Parameters) -> None:
    """Raise unless the parameters are at hand, in one dtype that rbench has."""
    names = {parameter: name for name, parameter in module.named_parameters()}
    dtypes: dict[torch.dtype, str] = {}
    for parameter in (parameter for block in parameters for parameter in block.values()):
        name = names[parameter]
        if parameter.is_meta:
            raise ParameterError(f"parameter {name!r} has no numbers: it is on the device meta; load them")
        if parameter.dtype not in (torch.float32, torch.float64):
            raise DtypeError(f"parameter {name!r} is {parameter.dtype}; convert the module by .float() or .double()")
        dtypes.setdefault(parameter.dtype, name)
    if len(dtypes) > 1:
        came = " and ".join(f"{name!r} of {dtype}" for dtype, name in dtypes.items())
        raise DtypeError(f"the module has parameters {came}; convert it by .float() or .double()")
