"""The algebra of Riemannian modules."""

from rbench.modules.base import LayerPullback, Module, Params
from rbench.modules.compose import Parallel, Sequential
from rbench.modules.layer import Layer
from rbench.modules.linear import Linear
from rbench.modules.pointwise import GELU, Exp, ReLU, Sigmoid, Tanh
from rbench.modules.wiring import Add, Copy, Flatten, Identity

__all__ = [
    "GELU",
    "Add",
    "Copy",
    "Exp",
    "Flatten",
    "Identity",
    "Layer",
    "LayerPullback",
    "Linear",
    "Module",
    "Parallel",
    "Params",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
]
