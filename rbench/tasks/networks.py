"""Networks that several tasks share."""

from collections.abc import Sequence
from functools import reduce
from itertools import pairwise
from operator import rshift
from typing import Literal, TypeAlias

from pydantic import PositiveInt

from rbench.errors import ShapeError
from rbench.modules import GELU, Identity, Linear, Module, ReLU, Sigmoid, Tanh

Activation: TypeAlias = Literal["tanh", "relu", "sigmoid", "gelu", "identity"]
"""What stands between two linear layers; `identity` makes a deep linear network."""

Widths: TypeAlias = tuple[PositiveInt, ...]
"""Sizes of the hidden layers, in order."""

_ACTIVATIONS: dict[Activation, Module] = {
    "tanh": Tanh(),
    "relu": ReLU(),
    "sigmoid": Sigmoid(),
    "gelu": GELU(),
    "identity": Identity(),
}


def mlp(sizes: Sequence[int], activation: Activation) -> Module:
    """Linear layers with biases from each size to the next, the activation between any two; none after the last.

    Args:
        sizes: of the input, the hidden layers and the output.
        activation: name of the activation.

    Raises:
        ShapeError: fewer than two sizes, or one that is below 1.
    """
    if len(sizes) < 2:
        raise ShapeError(f"an MLP needs the sizes of its input and its output at least, but sizes are {tuple(sizes)}")
    first, *others = (Linear(a, b) for a, b in pairwise(sizes))
    return reduce(rshift, (_ACTIVATIONS[activation] >> layer for layer in others), first)
