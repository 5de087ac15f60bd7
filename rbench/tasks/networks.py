"""Networks that several tasks share."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, PositiveInt

from rbench.errors import ShapeError
from rbench.modules import GELU, Identity, Linear, Module, ReLU, Sequential, Sigmoid, Tanh

Activation: TypeAlias = Literal["tanh", "relu", "sigmoid", "gelu", "identity"]
"""What stands between two linear layers; `identity` makes a deep linear network."""

MOST_LAYERS = 10_000
"""Most linear layers of one network; each adds Python's time to a step."""

Widths: TypeAlias = Annotated[tuple[PositiveInt, ...], Field(max_length=MOST_LAYERS - 1)]
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

    `sizes` are those of the input, the hidden layers and the output.

    Raises:
        ShapeError: fewer than two sizes, more layers than `MOST_LAYERS`, or a size that is below 1.
    """
    if len(sizes) < 2:
        raise ShapeError(f"an MLP needs the sizes of its input and its output at least, but sizes are {tuple(sizes)}")
    if len(sizes) > MOST_LAYERS + 1:
        raise ShapeError(f"an MLP has at most {MOST_LAYERS:,} layers, but {len(sizes) - 1:,} are asked for")
    first, *others = (Linear(a, b) for a, b in pairwise(sizes))
    behind = [module for layer in others for module in (_ACTIVATIONS[activation], layer)]
    return Sequential((first, *behind)) if behind else first
