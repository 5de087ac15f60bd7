"""The data of a task: the arrays, whether they fit the task, and what tells them from others."""

import hashlib
import zlib
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from rbench.arrays import check_numbers, laid_out, read
from rbench.checks import check_host_targets, outputs
from rbench.errors import DataError, DtypeError, RangeError, ShapeError
from rbench.losses import Loss
from rbench.modules import Module
from rbench.random import generator

VALIDATION_FRACTION = 1 / 6


@dataclass(frozen=True)
class Dataset:
    """Arrays on the host, and where they come from.

    Attributes:
        x_train: (n, *shape), real numbers.
        y_train: labels (n,) of integers, or (n, d) real numbers.
        x_test: as `x_train`.
        y_test: as `y_train`.
        sha256: fingerprint of the content that was read or made; if it is empty, that of the arrays is used.
        official: whether it is the published data set; None for data that are made or ship with a library.
        augment: whether a training batch is drawn with images (channels, height, width) mirrored left to right, each
            with probability 1/2, and shifted by up to 4 pixels along either axis, filled with zeros; not for
            evaluation.
    """

    x_train: np.ndarray[Any, Any]
    y_train: np.ndarray[Any, Any]
    x_test: np.ndarray[Any, Any]
    y_test: np.ndarray[Any, Any]
    sha256: str
    official: bool | None = None
    augment: bool = False

    @property
    def arrays(self) -> tuple[np.ndarray[Any, Any], ...]:
        """The four arrays, in the order of the attributes."""
        return self.x_train, self.y_train, self.x_test, self.y_test


def checked(data: Dataset, name: str, net: Module, loss: Loss, dtype: str, *, validation: bool) -> Dataset:
    """The data as every backend takes them; refused where the public functions refuse a user's arrays.

    Labels become int64. One pass over each array.

    Args:
        data: as the task's `load` returns them.
        name: of the task, for messages.
        net: its network.
        loss: its loss.
        dtype: the dtype of the computation.
        validation: replace the test set, unread, by a sixth of the training data.

    Raises:
        DataError: the message names the task, the array, and the first wrong number and its place; or there are too few
            data to hold some out.
    """
    try:
        x, y = _pair(data, "train", net, loss, dtype)
        data = replace(data, x_train=x, y_train=y)
        if not validation:
            x, y = _pair(data, "test", net, loss, dtype)
            data = replace(data, x_test=x, y_test=y)
    except (DtypeError, RangeError, ShapeError) as error:
        raise DataError(f"{name}: {error}; so the task's load must give other data") from None
    if validation:
        data = held_out(data, name)
    return replace(
        data,
        sha256=data.sha256 if isinstance(data.sha256, str) and data.sha256 else fingerprint(*data.arrays),
        official=None if data.official is None else bool(data.official),
        augment=bool(data.augment),
    )


def held_out(data: Dataset, name: str) -> Dataset:
    """Five sixths of the training data, with the others as the test set, drawn once and for all.

    Raises:
        DataError: there are fewer than six; the message names the task.
    """
    order = generator(0, "split").permutation(len(data.x_train))
    held = int(len(order) * VALIDATION_FRACTION)
    if not held:
        raise DataError(f"{name}: a sixth of the training data is held out, and there are {len(order)} in all")
    test, train = np.sort(order[:held]), np.sort(order[held:])
    x, y = data.x_train, data.y_train
    return replace(data, x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test])


def checksum(data: Dataset) -> str:
    """A checksum of all arrays, much quicker than `fingerprint`: it detects accidental differences."""
    total = 0
    for array in data.arrays:
        total = zlib.crc32(f"{array.dtype.str}{array.shape}".encode(), total)
        total = zlib.crc32(np.ascontiguousarray(array).data, total)
    return f"{total:08x}"


def fingerprint(*arrays: np.ndarray[Any, Any]) -> str:
    """SHA-256 of arrays: their dtypes, shapes and contents, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _pair(
    data: Dataset, part: Literal["train", "test"], net: Module, loss: Loss, dtype: str
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Inputs and targets of one part, laid out; `x_train` is already a checked array where `part` is `test`."""
    x_name, y_name = f"x_{part}", f"y_{part}"
    inputs, targets = read(getattr(data, x_name), x_name), read(getattr(data, y_name), y_name)
    if inputs.ndim < 2:
        raise ShapeError(f"{x_name} has shape {inputs.shape}, not (n, *shape)")
    if not len(inputs):
        raise ShapeError(f"{x_name} has shape {inputs.shape}: it holds no data")
    if part == "test" and inputs.shape[1:] != data.x_train.shape[1:]:
        raise ShapeError(f"{x_name} has data of shape {inputs.shape[1:]}, and x_train of {data.x_train.shape[1:]}")
    if data.augment and inputs.ndim != 4:
        raise ShapeError(f"{x_name} has shape {inputs.shape}; augment needs images (n, channels, height, width)")
    if targets.ndim and len(targets) != len(inputs):
        raise ShapeError(f"{x_name} holds {len(inputs)} data, and {y_name} holds {len(targets)} targets")
    d = outputs(net, (inputs.shape[1:],))
    check_numbers(inputs, x_name, dtype)
    check_host_targets(targets, y_name, loss, len(inputs), d, dtype)
    laid = laid_out(targets)
    return laid_out(inputs), laid.astype(np.int64, copy=False) if loss.integer_targets else laid
