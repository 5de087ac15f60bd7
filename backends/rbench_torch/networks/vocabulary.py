"""What the algebra has of PyTorch: its modules, and the calls that do the same as one of them."""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from rbench.errors import TracingError
from rbench.modules import (
    GELU,
    AvgPool2d,
    Conv2d,
    Exp,
    Flatten,
    Identity,
    Linear,
    MaxPool2d,
    Module,
    ReLU,
    Sigmoid,
    Tanh,
)
from rbench.modules.space import Shape

NEEDS_SHAPE = "what it does depends on the shape of the data: give the `shape` of a datum, such as (3, 32, 32)"


def _only(module: nn.Module, **wanted: Any) -> None:
    """Raise unless settings of a module have the values that the algebra knows."""
    for name, value in wanted.items():
        if (came := getattr(module, name)) != value:
            raise TracingError(f"{name} is {came!r}, and the algebra has only {value!r}")


def _one(module: nn.Module, name: str) -> int:
    """A size that is the same along both axes."""
    value = getattr(module, name)
    sizes = set(value) if isinstance(value, tuple | list) else {value}
    if len(sizes) != 1 or not isinstance(size := sizes.pop(), int):
        raise TracingError(f"{name} is {value!r}, and the algebra has only equal sizes along both axes")
    return size


def _linear(module: Any, shape: Shape) -> Module:
    return Linear(module.in_features, module.out_features, module.bias is not None)


def _conv2d(module: Any, shape: Shape) -> Module:
    _only(module, dilation=(1, 1), groups=1)
    kernel = _one(module, "kernel_size")
    stride = _one(module, "stride")
    padding = 0 if module.padding == "valid" else (kernel - 1) // 2
    if module.padding == "same" and kernel % 2 == 0:
        raise TracingError(f"padding is 'same' for a kernel of {kernel}, and the algebra pads all sides alike")
    if not isinstance(module.padding, str):
        padding = _one(module, "padding")
    if padding:
        _only(module, padding_mode="zeros")
    return Conv2d(module.in_channels, module.out_channels, kernel, stride, padding, module.bias is not None)


def _pool(kind: Callable[[int], Module], **wanted: Any) -> Callable[[Any, Shape], Module]:
    def made(module: Any, shape: Shape) -> Module:
        kernel = _one(module, "kernel_size")
        if _one(module, "stride") != kernel:
            raise TracingError(f"stride is {module.stride!r}, and the algebra's pools step by their kernel, {kernel}")
        _only(module, ceil_mode=False, **wanted)
        if _one(module, "padding"):
            raise TracingError(f"padding is {module.padding!r}, and the algebra's pools have none")
        return kind(kernel)

    return made


def _adaptive(kind: Callable[[int], Module]) -> Callable[[Any, Shape], Module]:
    def made(module: Any, shape: Shape) -> Module:
        parts = _one(module, "output_size")
        if shape is None or len(shape) != 3 or None in shape:
            raise TracingError(NEEDS_SHAPE)
        _, rows, columns = shape
        if rows != columns or rows % parts:  # type: ignore[operator]
            raise TracingError(f"images of {rows} × {columns} are not {parts} × {parts} equal squares")
        return kind(rows // parts)  # type: ignore[operator]

    return made


class Mean(nn.Module):  # type: ignore[misc]
    """What `x.mean((2, 3))` does."""

    def __init__(self, dim: Any = None, keepdim: bool = False) -> None:
        super().__init__()
        self.dim = dim
        self.keepdim = keepdim


def _means(module: Mean, shape: Shape) -> Module:
    if not isinstance(module.dim, tuple | list) or {axis % 4 for axis in module.dim} != {2, 3}:
        raise TracingError(f"it takes means over axes {module.dim!r}, and the algebra over those of images, (2, 3)")
    pool = _adaptive(AvgPool2d)(nn.AdaptiveAvgPool2d(1), shape)
    return pool if module.keepdim else pool >> Flatten()


def _flatten(module: Any, shape: Shape) -> Module:
    if module.start_dim != 1 or module.end_dim not in (-1, len(shape or ())):
        raise TracingError(
            f"it flattens axes {module.start_dim} to {module.end_dim}, and the algebra's Flatten axes 1 to -1"
        )
    return Flatten()


def _dropout(module: Any, shape: Shape) -> Module:
    if module.training and module.p:
        raise TracingError("the algebra draws nothing in a forward pass: call .eval() on the module, or set p to 0")
    return Identity()


def _gelu(module: Any, shape: Shape) -> Module:
    _only(module, approximate="none")
    return GELU()


MODULES: dict[type, Callable[[Any, Shape], Module]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.Tanh: lambda module, shape: Tanh(),
    nn.ReLU: lambda module, shape: ReLU(),
    nn.Sigmoid: lambda module, shape: Sigmoid(),
    nn.GELU: _gelu,
    nn.Identity: lambda module, shape: Identity(),
    nn.Flatten: _flatten,
    nn.AvgPool2d: _pool(AvgPool2d, divisor_override=None),
    nn.MaxPool2d: _pool(MaxPool2d, dilation=1, return_indices=False),
    nn.AdaptiveAvgPool2d: _adaptive(AvgPool2d),
    nn.AdaptiveMaxPool2d: _adaptive(MaxPool2d),
    Mean: _means,
    **dict.fromkeys((nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d), _dropout),
}
"""By type of a module: the algebra's module for it, given the shape of a datum as far as it is known."""


def _flattening(start_dim: int = 0, end_dim: int = -1) -> nn.Module:
    return nn.Flatten(start_dim, end_dim)


def _dropping(p: float = 0.5, training: bool = True, inplace: bool = False) -> nn.Module:
    return nn.Dropout(p).train(training)


def _relu_in_place() -> nn.Module:
    return nn.ReLU(inplace=True)


CALLS: dict[Any, Callable[..., nn.Module]] = {
    **dict.fromkeys((torch.relu, F.relu, "relu"), nn.ReLU),
    **dict.fromkeys((torch.relu_, "relu_"), _relu_in_place),
    **dict.fromkeys((torch.tanh, "tanh"), nn.Tanh),
    **dict.fromkeys((torch.sigmoid, "sigmoid"), nn.Sigmoid),
    **dict.fromkeys((torch.flatten, "flatten"), _flattening),
    F.gelu: nn.GELU,
    F.avg_pool2d: nn.AvgPool2d,
    F.max_pool2d: nn.MaxPool2d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    F.adaptive_max_pool2d: nn.AdaptiveMaxPool2d,
    F.dropout: _dropping,
    **dict.fromkeys((torch.mean, "mean"), Mean),
    "contiguous": nn.Identity,
}
"""By function, or name of a tensor's method: the module that does the same, given the arguments after the tensor."""

WITHOUT_MODULE: dict[Any, Module] = dict.fromkeys((torch.exp, "exp"), Exp())
"""Likewise the algebra's module, where PyTorch has none."""

SUMS = (operator.add, torch.add, "add")
"""Functions of two values that add them."""

_FOLD = "fold it into the layer before it with torch.nn.utils.fusion, or leave it out"
_LOGITS = "leave it out: the losses of rbench take the values before it"
WAYS_OUT: dict[Any, str] = {
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d), _FOLD),
    **dict.fromkeys((nn.Softmax, nn.LogSoftmax, F.softmax, F.log_softmax, "softmax", "log_softmax"), _LOGITS),
}
"""What to do about some of what the algebra lacks."""
