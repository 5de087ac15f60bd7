"""Networks of the algebra as modules of PyTorch, and parameters between the two.

A layer is `torch.nn.Linear` or `Conv2d` where PyTorch has it, so that what hooks these finds them; its parameters are
called `weight` and `bias`, as in our blocks.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from rbench import modules as algebra
from rbench.backend import Backend
from rbench.checks import check_backend, check_params
from rbench.errors import ParameterError
from rbench.modules import Module, Params
from rbench.plugins import get_backend
from rbench_torch.networks import modules as ours

_MAKERS: dict[type[Module], Callable[[Any], nn.Module]] = {
    algebra.Linear: lambda m: nn.Linear(m.in_features, m.out_features, bias=m.bias),
    algebra.Conv2d: lambda m: nn.Conv2d(
        m.in_channels, m.out_channels, m.kernel, stride=m.stride, padding=m.padding, bias=m.bias
    ),
    algebra.ScaleShift: ours.ScaleShift,
    algebra.JetLinear: ours.JetLinear,
    algebra.Equilibrium: ours.Equilibrium,
    algebra.Tanh: lambda _: nn.Tanh(),
    algebra.ReLU: lambda _: nn.ReLU(),
    algebra.Sigmoid: lambda _: nn.Sigmoid(),
    algebra.GELU: lambda _: nn.GELU(),
    algebra.Exp: lambda _: ours.Exp(),
    algebra.JetTanh: lambda _: ours.JetTanh(),
    algebra.AvgPool2d: lambda m: nn.AvgPool2d(m.kernel),
    algebra.MaxPool2d: lambda m: nn.MaxPool2d(m.kernel),
    algebra.Flatten: lambda _: nn.Flatten(),
    algebra.Identity: lambda _: nn.Identity(),
    algebra.Copy: lambda _: ours.Copy(),
    algebra.Add: lambda _: ours.Add(),
    algebra.Dot: lambda _: ours.Dot(),
    algebra.Split: lambda m: ours.Split(m.size),
}


def to_module(net: Module, params: Params) -> nn.Module:
    """A module of PyTorch that computes `net` with a copy of the parameters, which it can be trained from.

    Args:
        net: made of the algebra's own modules.
        params: one block per layer, tensors or NumPy arrays; their dtype is the module's, and the tensors' device.

    Returns:
        A `torch.nn.Sequential`, or the one module of a network that is no sequence. It takes one tensor (batch,
        *shape), or a tuple of one per wire, and returns the same; its `parameters()` are the arrays of the blocks in
        order, each weight before its bias.

    Raises:
        ParameterError: the network holds a module that has no equivalent here, or the parameters do not fit it.
        DtypeError: they are not of one floating dtype.
    """
    module = _converted(net)
    if net.layers:
        backend = _backend_of(params)
        check_params(backend, net, params)
        module.to(device=backend.device, dtype=getattr(torch, backend.dtype))
        load_params(module, params)
    return module


def _backend_of(params: Params) -> Backend:
    """The backend whose arrays the parameters are: NumPy, or PyTorch on their device."""
    first = params[0] if isinstance(params, tuple | list) and params else None
    array = next(iter(first.values()), None) if isinstance(first, Mapping) else None
    if isinstance(array, torch.Tensor):
        return get_backend("torch", dtype=array.dtype, device=array.device)
    return check_backend("numpy", params)


def _converted(net: Module) -> nn.Module:
    if isinstance(net, algebra.Sequential):
        return nn.Sequential(*map(_converted, net.modules))
    if isinstance(net, algebra.Parallel):
        return ours.Parallel([*map(_converted, net.modules)], [len(part.in_space) for part in net.modules])
    make = _MAKERS.get(type(net))
    if make is None:
        known = ", ".join(kind.__name__ for kind in _MAKERS)
        raise ParameterError(f"{net!r} cannot be made a module of PyTorch; those that can are {known}, >> and *")
    return make(net)


def module_params(module: nn.Module) -> Params:
    """The parameters of what `to_module` returned, as blocks of tensors that share its memory, without autograd."""
    return tuple({key: value.detach() for key, value in own.items()} for own in _blocks(module))


def load_params(module: nn.Module, params: Params) -> None:
    """Copy blocks of tensors or NumPy arrays into what `to_module` returned for the same network."""
    with torch.no_grad():
        for own, block in zip(_blocks(module), params, strict=True):
            for key, value in own.items():
                value.copy_(torch.as_tensor(block[key]))


def _blocks(module: nn.Module) -> Iterator[dict[str, nn.Parameter]]:
    """The parameters of every module that has any of its own, in order."""
    for part in module.modules():
        if own := dict(part.named_parameters(recurse=False)):
            yield own
