"""The mass M_l of a layer: the diagonal that is added to the pulled-back metric. All entries are positive.

A Kronecker mass m_ij = row_i · column_j covers the scalar and the separable one; a full diagonal has no such structure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from numbers import Real
from typing import Any, TypeAlias

import numpy as np

from rbench.arrays import read
from rbench.backend import Array, Backend
from rbench.errors import DtypeError, MassError
from rbench.modules import Layer
from rbench.names import shown

MassLike: TypeAlias = Any
"""A float; a pair (row (out,), column (in [+1],)); or an array shaped like the block: (out, in [+1]), a flat (n,) in
the order weight then bias, or a mapping with `weight` and `bias`."""


@dataclass(frozen=True)
class KroneckerMass:
    """m_ij = row_i · column_j, and row_i · bias_column for the bias.

    The row is (fan_out,), or a number for all outputs; the column (fan_in,), or a number for all inputs.
    """

    row: Array | float
    column: Array | float
    bias_column: Array | float

    def entries(self, start: int, stop: int) -> tuple[Array | float, Array | float]:
        """Entries of the outputs from `start` to `stop`: they broadcast to (outputs, fan_in) and (outputs,)."""
        if isinstance(self.row, float):
            return self.row * self.column, self.row * self.bias_column
        row = self.row[start:stop]
        return row[:, None] * self.column, row * self.bias_column

    @property
    def parts(self) -> tuple[Array | float, Array | float, Array | float]:
        """Divisors of cotangents at the outputs, and of their products with the inputs and with the bias's 1."""
        return self.row, self.column, self.bias_column


@dataclass(frozen=True)
class DiagonalMass:
    """Any positive m_ij, (fan_out, fan_in) and (fan_out,) for the bias: ones for a layer without bias."""

    weight: Array
    bias: Array

    def entries(self, start: int, stop: int) -> tuple[Array, Array]:
        """Entries of the outputs from `start` to `stop`: (outputs, fan_in), and (outputs,)."""
        return self.weight[start:stop, :], self.bias[start:stop]

    @property
    def parts(self) -> tuple[float, Array, Array]:
        """Divisors of cotangents at the outputs, and of their products with the inputs and with the bias's 1."""
        return 1.0, self.weight, self.bias


@dataclass(frozen=True)
class FactoredMass:
    """M = S ⊗ A for weights in C order, given by the inverses of a factor of the outputs and one of the inputs.

    Attributes:
        outputs: S⁻¹ (fan_out, fan_out).
        inputs: A⁻¹ (fan_in [+1], fan_in [+1]), the bias's 1 last.
    """

    outputs: Array
    inputs: Array


Mass: TypeAlias = KroneckerMass | DiagonalMass
AnyMass: TypeAlias = Mass | FactoredMass


def divided(array: Array, mass: Array | float) -> Array:
    """An array divided by a mass that broadcasts to it; the array itself if the mass is the number 1."""
    return array if isinstance(mass, float) and mass == 1 else array / mass


def layer_masses(backend: Backend, layers: Sequence[Layer], mass: MassLike) -> list[Mass]:
    """The mass of every layer, given as a float for all, or a list or tuple with one entry per layer (see `MassLike`).

    Raises:
        MassError: a wrong number of entries, a shape that does not fit, or an entry that is not positive and finite
            in the backend's dtype.
    """
    if _is_scalar(mass):
        return [_scalar(backend, mass, "mass") for _ in layers]
    if not isinstance(mass, list | tuple) or len(mass) != len(layers):
        came = f"{len(mass)} entries" if isinstance(mass, list | tuple) else shown(mass)
        raise MassError(
            f"mass: {came} for {len(layers)} layers; give one float, or a list with one entry for each layer"
        )
    return [
        _layer_mass(backend, layer, entry, index) for index, (layer, entry) in enumerate(zip(layers, mass, strict=True))
    ]


def _layer_mass(backend: Backend, layer: Layer, entry: MassLike, index: int) -> Mass:
    name = f"mass of layer {index}"
    out = layer.fan_out
    width = layer.width
    if isinstance(entry, Mapping):
        return _mapping(backend, layer, entry, name)
    if isinstance(entry, tuple) and len(entry) == 2:
        row, column = (_positive(backend, part, name) for part in entry)
        if row.shape != (out,) or column.shape != (width,):
            raise MassError(f"{name}: the pair has shapes {row.shape} and {column.shape}; give ({out},) and ({width},)")
        last = backend.asarray(column[-1]) if layer.bias else 1.0
        return KroneckerMass(backend.asarray(row), backend.asarray(column[: layer.fan_in]), last)
    if _is_scalar(entry):
        return _scalar(backend, entry, name)
    values = _positive(backend, entry, name)
    if values.shape == (out, width):
        values = np.concatenate([values[:, : layer.fan_in].ravel(), values[:, layer.fan_in :].ravel()])
    if values.shape != (layer.n_parameters,):
        raise MassError(
            f"{name}: shape {values.shape}; give a float, a pair of shapes ({out},) and ({width},), "
            f"or an array of shape {(out, width)}"
        )
    return _diagonal(backend, layer, values)


def _mapping(backend: Backend, layer: Layer, entry: Mapping[str, Any], name: str) -> DiagonalMass:
    shapes = layer.shapes
    if set(entry) != set(shapes):
        raise MassError(f"{name}: it has {sorted(entry)}; give {sorted(shapes)}")
    parts = {key: _positive(backend, entry[key], f"{name}, {key}") for key in shapes}
    for key, shape in shapes.items():
        if parts[key].shape != shape:
            raise MassError(f"{name}: {key} has shape {parts[key].shape}; give {shape}")
    return _diagonal(backend, layer, np.concatenate([parts[key].ravel() for key in shapes]))


def _diagonal(backend: Backend, layer: Layer, values: np.ndarray) -> DiagonalMass:
    """A mass from flat entries (n,), weight in C order, then bias."""
    weights = layer.fan_out * layer.fan_in
    bias = values[weights:] if layer.bias else np.ones(layer.fan_out)
    return DiagonalMass(backend.asarray(values[:weights].reshape(layer.fan_out, -1)), backend.asarray(bias))


def _is_scalar(value: Any) -> bool:
    # `np.ndim` of a list makes an array of it, which fails where its entries have different shapes.
    return not isinstance(value, list | tuple | Mapping) and np.ndim(value) == 0


def _scalar(backend: Backend, value: Any, name: str) -> KroneckerMass:
    number = value if isinstance(value, float) else _number(backend, value, name)
    least, most = _limits(backend.dtype)
    if not least <= number <= most:
        raise MassError(
            f"{name}: {shown(value)} is not positive and finite in {backend.dtype}; the metric needs mass > 0 to be "
            "invertible"
        )
    return KroneckerMass(number, 1.0, 1.0)


def _number(backend: Backend, value: Any, name: str) -> float:
    """A value as a number; booleans and text are refused."""
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    try:
        host = read(value, name, backend.to_numpy)
    except DtypeError:
        host = np.asarray(False)
    if host.dtype.kind == "b":
        raise MassError(f"{name}: {shown(value)} is not a number") from None
    return float(host)


def _positive(backend: Backend, values: Any, name: str) -> np.ndarray:
    try:
        came = read(values, name, backend.to_numpy)
    except DtypeError as error:
        raise MassError(f"{error}; a mass is an array of numbers") from None
    if came.dtype.kind == "b":
        raise MassError(f"{name}: {shown(values)} holds booleans, not numbers")
    if not came.size:
        raise MassError(f"{name}: it is empty; give one positive number per entry")
    low, high = came.min(), came.max()
    least, most = _limits(backend.dtype)
    if not (least <= low and high <= most):
        raise MassError(
            f"{name}: its smallest entry is {low} and its largest {high}; all must be positive and finite in "
            f"{backend.dtype}"
        )
    return came.astype(np.float64, copy=False)


@cache
def _limits(dtype: str) -> tuple[float, float]:
    """The smallest and largest entries of a mass: the dtype's smallest normal and largest finite number."""
    info = np.finfo(dtype)
    return float(info.smallest_normal), float(info.max)
