"""The inputs that a layer's weights multiply: one vector per position of each example."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add
from typing import Any

from rbench.backend import Array, Backend
from rbench.sliding_window import Window


class Inputs(ABC):
    """The inputs of a layer, as a matrix that need not be formed.

    Attributes:
        data: the array that the inputs are read from, (examples, …).
    """

    data: Array

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """(examples, positions, fan_in)."""

    @property
    @abstractmethod
    def matrix(self) -> Array:
        """The inputs themselves, (examples, positions, fan_in)."""

    @abstractmethod
    def with_data(self, data: Array) -> "Inputs":
        """Inputs read in the same way from the data of other examples."""

    @abstractmethod
    def apply(self, weight: Array) -> Array:
        """inputs[e, t] · weightᵀ, (examples, positions, fan_out), for a weight (fan_out, fan_in)."""

    @abstractmethod
    def product(self, cotangents: Array) -> Array:
        """Σ_(e,t) cotangents[e, t] ⊗ inputs[e, t], (fan_out, fan_in), for cotangents (examples, positions, fan_out)."""

    def one_example(self, backend: Backend) -> "Inputs":
        """The same inputs, with all examples as positions of a single one."""
        return _OneExample(backend, self)


@dataclass(frozen=True)
class Vectors(Inputs):
    """Inputs of a layer with one position: `data` is a vector per example, (examples, fan_in)."""

    data: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.data.shape[0], 1, self.data.shape[1])

    @property
    def matrix(self) -> Array:
        return self.data[:, None, :]

    def with_data(self, data: Array) -> "Vectors":
        return Vectors(data)

    def apply(self, weight: Array) -> Array:
        return (self.data @ weight.T)[:, None, :]

    def product(self, cotangents: Array) -> Array:
        return cotangents[:, 0, :].T @ self.data


@dataclass(frozen=True)
class Points(Inputs):
    """Inputs as a matrix that is at hand: `data` is (examples, positions, fan_in)."""

    backend: Backend
    data: Array

    @property
    def shape(self) -> tuple[int, int, int]:
        examples, positions, fan_in = self.data.shape
        return examples, positions, fan_in

    @property
    def matrix(self) -> Array:
        return self.data

    def with_data(self, data: Array) -> "Points":
        return Points(self.backend, data)

    def apply(self, weight: Array) -> Array:
        return self.data @ weight.T

    def product(self, cotangents: Array) -> Array:
        reshape = self.backend.xp.reshape
        return reshape(cotangents, (-1, cotangents.shape[2])).T @ reshape(self.data, (-1, self.data.shape[2]))


@dataclass(frozen=True)
class Patches(Inputs):
    """The windows that a convolution multiplies; a backend with convolutions of its own does not form them.

    Attributes:
        backend: the images' backend.
        data: the images (examples, channels, height, width).
        window: size, stride and padding of the windows.
    """

    backend: Backend
    data: Array
    window: Window

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        rows, columns = (self.window.positions(size) for size in self.data.shape[2:])
        return rows, columns

    @property
    def shape(self) -> tuple[int, int, int]:
        rows, columns = self.grid
        return (self.data.shape[0], rows * columns, self.data.shape[1] * self.window.kernel**2)

    @cached_property
    def columns(self) -> Array:
        """The windows, (examples, fan_in, positions)."""
        return self.backend.patches(self.data, self.window)

    @property
    def matrix(self) -> Array:
        return self.backend.xp.permute_dims(self.columns, (0, 2, 1))

    def with_data(self, data: Array) -> "Patches":
        return Patches(self.backend, data, self.window)

    def apply(self, weight: Array) -> Array:
        xp = self.backend.xp
        kernel = self.window.kernel
        outputs = self.convolve(xp.reshape(weight, (weight.shape[0], -1, kernel, kernel)))
        return xp.permute_dims(xp.reshape(outputs, (*outputs.shape[:2], -1)), (0, 2, 1))

    def convolve(self, weight: Array) -> Array:
        """The output images (examples, fan_out, rows, columns) for a weight (fan_out, channels, kernel, kernel)."""
        if self.backend.convolutions is not None:
            return self.backend.convolutions.apply(self.data, weight, self.window)
        xp = self.backend.xp
        flat = xp.reshape(weight, (weight.shape[0], -1)) @ self.columns
        return xp.reshape(flat, (self.data.shape[0], weight.shape[0], *self.grid))

    def pull(self, cotangents: Array, weight: Array) -> Array:
        """Cotangents at the images, (n, channels, height, width), from cotangents (n, fan_out, rows, columns)."""
        if self.backend.convolutions is not None:
            return self.backend.convolutions.pull_images(cotangents, weight, self.window, self.data.shape[2:])
        xp = self.backend.xp
        flat = xp.reshape(cotangents, (*cotangents.shape[:2], -1))
        columns = xp.reshape(weight, (weight.shape[0], -1)).T @ flat
        return self.backend.scatter(columns, self.window, self.data.shape[2:])

    def product(self, cotangents: Array) -> Array:
        xp = self.backend.xp
        by_channel = xp.permute_dims(cotangents, (0, 2, 1))
        if self.backend.convolutions is not None:
            images = xp.reshape(by_channel, (*by_channel.shape[:2], *self.grid))
            weight = self.backend.convolutions.pull_weight(self.data, images, self.window)
            return xp.reshape(weight, (weight.shape[0], -1))
        # One group of examples at a time: a weight for each of them may take far more memory than the cotangents.
        examples, positions, fan_in = self.shape
        group = max(1, examples * positions // (2 * fan_in))
        matrix = self.matrix

        def group_sum(start: int) -> Array:
            stop = min(start + group, examples)
            return xp.sum(by_channel[start:stop, :, :] @ matrix[start:stop, :, :], axis=0)

        return reduce(add, map(group_sum, range(0, examples, group)))


@dataclass(frozen=True)
class _OneExample(Inputs):
    backend: Backend
    parts: Inputs

    @property
    def shape(self) -> tuple[int, int, int]:
        examples, positions, fan_in = self.parts.shape
        return (1, examples * positions, fan_in)

    @property
    def matrix(self) -> Any:
        return self.backend.xp.reshape(self.parts.matrix, self.shape)

    @property
    def data(self) -> Array:
        return self.parts.data

    def with_data(self, data: Array) -> "_OneExample":
        return _OneExample(self.backend, self.parts.with_data(data))

    def apply(self, weight: Array) -> Array:
        return self.backend.xp.reshape(self.parts.apply(weight), (*self.shape[:2], weight.shape[0]))

    def product(self, cotangents: Array) -> Array:
        apart = (*self.parts.shape[:2], cotangents.shape[2])
        return self.parts.product(self.backend.xp.reshape(cotangents, apart))
