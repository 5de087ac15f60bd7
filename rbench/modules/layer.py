"""Layers: the modules that have weights, and are linear in them."""

from abc import abstractmethod
from operator import index as as_int
from typing import ClassVar

import numpy as np

from rbench.backend import Array, Backend
from rbench.errors import ParameterError, ShapeError
from rbench.modules.base import Block, Module, Scheme, Space
from rbench.names import unknown
from rbench.random import generator


class Layer(Module):
    """A module with one block of parameters, that is linear in them.

    The block is a matrix (fan_out, fan_in) and, with a bias, a vector (fan_out,): fan_out · (fan_in + bias) numbers.

    Attributes:
        bias: whether there is a bias.
        entrywise: whether its outputs are its inputs scaled entry by entry, so that no product takes rows through it.
    """

    entrywise: ClassVar[bool] = False
    bias: bool

    def positions(self, space: Space) -> int:
        """Positions that share the weights, for inputs of these shapes."""
        return 1

    @property
    @abstractmethod
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight, outputs first."""

    @property
    def fan_out(self) -> int:
        """Number of outputs a position."""
        return self.weight_shape[0]

    @property
    def fan_in(self) -> int:
        """Number of inputs a position, without the 1 of the bias."""
        return int(np.prod(self.weight_shape[1:]))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays of the block, by name."""
        return {"weight": self.weight_shape, **({"bias": (self.fan_out,)} if self.bias else {})}

    @property
    def fans(self) -> tuple[int, int]:
        """Weights at each output, and weights at each input: what initial weights are scaled by."""
        return self.fan_in, self.fan_out

    @property
    def n_parameters(self) -> int:
        """Numbers in the block."""
        return self.fan_out * (self.fan_in + self.bias)

    @property
    def layers(self) -> "tuple[Layer, ...]":
        return (self,)

    def draw(self, backend: Backend, seed: int, index: int, scheme: Scheme) -> Block:
        """Initial parameters of the layer that stands at `index` in its network; see `Module.init`."""
        into, out_of = self.fans
        variances = {"glorot": 2 / (into + out_of), "lecun": 1 / into, "he": 2 / into}
        if scheme not in variances:
            raise ParameterError(unknown("initial scheme", scheme, variances))
        bound = np.sqrt(3 * variances[scheme])
        weight = generator(seed, "weights", index).uniform(-bound, bound, (self.fan_out, self.fan_in))
        return self.block(backend.asarray(weight), backend.asarray(np.zeros(self.fan_out)), backend)

    def block(self, weight: Array, bias: Array | None, backend: Backend) -> Block:
        """Parameters from a (fan_out, fan_in) matrix and a (fan_out,) vector, which is dropped without a bias."""
        shaped = {"weight": backend.xp.reshape(weight, self.weight_shape)}
        return {**shaped, "bias": bias} if self.bias else shaped


def settle_sizes(module: Module, *names: str, least: int = 1) -> None:
    """Make the named sizes of a frozen module plain integers, whatever kind of integer came.

    Raises:
        ShapeError: one is no integer, or below the least.
    """
    for name in names:
        size = getattr(module, name)
        try:
            number = least - 1 if isinstance(size, bool) else as_int(size)
        except TypeError:
            number = least - 1
        if number < least:
            raise ShapeError(f"{type(module).__name__}: {name} is {size!r}; give an integer of at least {least}")
        object.__setattr__(module, name, number)
