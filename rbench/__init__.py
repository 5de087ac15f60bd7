"""rbench: benchmarks for Riemannian and second-order optimisers, one mathematics on every array backend.

The names below are the public Python interface. They are loaded at first use, so that the command line answers at once.
"""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from rbench.lazy import exports

if TYPE_CHECKING:
    from rbench.api import layer_metrics, loss_gradient, riemannian_gradient
    from rbench.backend import Backend, BackendPlugin
    from rbench.conversion import from_torch
    from rbench.hookspecs import hookimpl
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
        Linear,
        MaxPool2d,
        Module,
        ReLU,
        ScaleShift,
        Sigmoid,
        Split,
        Tanh,
    )
    from rbench.plugins import get_backend

_OUTSIDE_MODULES = {
    "Backend": "backend",
    "BackendPlugin": "backend",
    "from_torch": "conversion",
    "get_backend": "plugins",
    "hookimpl": "hookspecs",
    "layer_metrics": "api",
    "loss_gradient": "api",
    "riemannian_gradient": "api",
}
"""Where a public name is defined, if not in `rbench.modules`."""

__all__ = [
    "GELU",
    "Add",
    "AvgPool2d",
    "Backend",
    "BackendPlugin",
    "Conv2d",
    "Copy",
    "Dot",
    "Equilibrium",
    "Exp",
    "Flatten",
    "Identity",
    "JetLinear",
    "JetTanh",
    "Linear",
    "MaxPool2d",
    "Module",
    "ReLU",
    "ScaleShift",
    "Sigmoid",
    "Split",
    "Tanh",
    "from_torch",
    "get_backend",
    "hookimpl",
    "layer_metrics",
    "loss_gradient",
    "riemannian_gradient",
]

try:
    __version__ = version("rbench")
except PackageNotFoundError:  # the source tree without an installation
    __version__ = "0+unknown"


__getattr__, __dir__ = exports(__name__, {name: f"rbench.{_OUTSIDE_MODULES.get(name, 'modules')}" for name in __all__})
