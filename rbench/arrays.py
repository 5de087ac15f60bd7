"""Numbers that users give: read on the host, laid out as every library takes them, and checked."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rbench.errors import DtypeError, NotFiniteError, RangeError
from rbench.names import shown


class Bounds(NamedTuple):
    """Where numbers must lie.

    Attributes:
        least: the smallest allowed.
        most: the largest.
        words: the reason, for a message.
    """

    least: float = -math.inf
    most: float = math.inf
    words: str = ""

    def holds(self, low: float, high: float, dtype: str) -> bool:
        """Whether numbers from `low` to `high` are allowed and fit a dtype; False if one is NaN."""
        most = float(np.finfo(dtype).max)
        return bool(max(self.least, -most) <= low and high <= min(self.most, most))


ANY_NUMBER = Bounds()

_EVERYWHERE = frozenset(np.dtype(character) for character in "?bBhHiIqQefd")
"""Dtypes, of this machine's byte order, that every library takes from NumPy."""


def read(values: Any, name: str, to_numpy: Callable[[Any], np.ndarray[Any, Any]] = np.asarray) -> np.ndarray[Any, Any]:
    """Values as a NumPy array of real numbers.

    Values are whatever can be read as one: nested lists, a pandas column, or an array of a library, which `to_numpy`
    reads. Messages call them `name`.

    Raises:
        DtypeError: they are not a dense array of real numbers, or are masked.
    """
    if isinstance(values, np.ndarray) and not isinstance(values, np.ma.MaskedArray):
        array = np.asarray(values)
    else:
        _refuse_masks(values, name)
        try:
            array = np.asarray(to_numpy(values))
        except Exception as error:  # the values' library may raise anything
            line = (str(error).splitlines() or [""])[0]
            raise DtypeError(
                f"{name} is {_kind(values)}, which cannot be read as an array: {type(error).__name__}: {line}; give a "
                "dense array of real numbers, with rows of equal length"
            ) from None
    if array.dtype.kind not in "biuf":
        came = "" if isinstance(values, np.ndarray) else f"is {_kind(values)}, and so "
        raise DtypeError(f"{name} {came}has dtype {array.dtype}; give real numbers, as a dense array")
    return array


def laid_out(values: Any) -> np.ndarray[Any, Any]:
    """Values as an array that every library takes: rows one after the other, in this machine's byte order.

    Arrays that already are so are not copied. Numbers beyond float64 are rounded to it.

    Raises:
        DtypeError: as `read` does.
    """
    array = np.asarray(read(values, "the array"), order="C")
    if array.dtype not in _EVERYWHERE:
        wide = array.dtype.kind == "f" and array.dtype.itemsize > 8
        array = array.astype(np.float64 if wide else array.dtype.newbyteorder("="))
    # To NumPy an axis of one entry is contiguous whatever its stride; other libraries look at the stride.
    if not array.flags.aligned or any(stride < 0 or stride % array.itemsize for stride in array.strides):
        array = np.array(array, order="C")
    return array


def check_numbers(array: np.ndarray[Any, Any], name: str, dtype: str, bounds: Bounds = ANY_NUMBER) -> None:
    """Raise unless all numbers of an array are finite, also in the dtype of the computation, and within bounds.

    If they are, this takes one pass over the array and no memory.

    Raises:
        RangeError: the message names the first wrong number and its place.
    """
    if not array.size or array.dtype.kind == "b":
        return
    with np.errstate(invalid="ignore", over="ignore"):
        if bounds.holds(float(array.min()), float(array.max()), dtype):
            return
        most = float(np.finfo(dtype).max)
        inside = (array >= max(bounds.least, -most)) & (array <= min(bounds.most, most))
    place = [int(index) for index in np.argwhere(~inside)[0]]
    value = array[tuple(place)]
    at = f"{name} has {value!s} at {place}"
    if not np.isfinite(value):
        raise NotFiniteError(f"{at}; give finite numbers")
    if abs(value) > most:
        raise RangeError(f"{at}, more than {dtype} can hold; scale {name}, or compute in a wider dtype")
    raise RangeError(f"{at}; {bounds.words}")


def _refuse_masks(values: Any, name: str) -> None:
    """Raise for a masked array, or a list of them: NumPy would read masked entries as if they were not masked."""
    parts = values if isinstance(values, list | tuple) else [values]
    if parts and isinstance(parts[0], int | float):
        return
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise DtypeError(
            f"{name} is a masked array, and masks are not supported; leave out the rows that are masked, or give "
            "numbers for them with filled()"
        )


def _kind(values: Any) -> str:
    """A value in words: its type, and the value itself if it is short."""
    name = type(values).__name__
    if values is None:
        return "None"
    return f"{name} {shown(values)}" if isinstance(values, str | int | float | complex | list | tuple | dict) else name
