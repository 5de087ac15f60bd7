"""The algebra of Riemannian modules."""

from rbench.modules.conv import Conv2d
from rbench.modules.equilibrium import Equilibrium
from rbench.modules.jet import JetLinear, JetTanh
from rbench.modules.linear import Linear
from rbench.modules.module import Layer, Module, Parallel, Params, Sequential
from rbench.modules.pointwise import GELU, Exp, ReLU, Sigmoid, Tanh
from rbench.modules.pool import AvgPool2d, MaxPool2d
from rbench.modules.pullback import LayerPullback, Weights
from rbench.modules.scale_shift import ScaleShift
from rbench.modules.wiring import Add, Copy, Dot, Flatten, Identity, Split

__all__ = [
    "GELU",
    "Add",
    "AvgPool2d",
    "Conv2d",
    "Copy",
    "Dot",
    "Equilibrium",
    "Exp",
    "Flatten",
    "Identity",
    "JetLinear",
    "JetTanh",
    "Layer",
    "LayerPullback",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parallel",
    "Params",
    "ReLU",
    "ScaleShift",
    "Sequential",
    "Sigmoid",
    "Split",
    "Tanh",
    "Weights",
]
