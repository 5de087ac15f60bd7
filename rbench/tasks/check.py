"""Checks of a task's data: a run refuses what the public functions refuse in a user's arrays."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from rbench.arrays import check_numbers, laid_out, read
from rbench.checks import check_host_targets, outputs
from rbench.errors import DataError, DtypeError, RangeError, ShapeError
from rbench.losses import Loss
from rbench.modules import Module

Pair = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]


@dataclass(frozen=True)
class DataCheck:
    """What the data of a task must fit.

    Attributes:
        name: of the task.
        net: its network.
        loss: its loss.
        dtype: the dtype of the computation.
        images: whether they are images to be mirrored and shifted.
    """

    name: str
    net: Module
    loss: Loss
    dtype: str
    images: bool = False

    def pair(self, x: Any, y: Any, part: Literal["train", "test"], shape: tuple[int, ...] | None = None) -> Pair:
        """Inputs and targets, laid out as every backend takes them; labels as int64. One pass over each.

        Args:
            x: inputs (n, *shape).
            y: labels (n,) of integers, or (n, d) real numbers.
            part: part of the data, for messages.
            shape: shape that a datum must have; any that the network takes if None.

        Raises:
            DataError: the message names the task, the array, and the first wrong number and its place.
        """
        try:
            return self._pair(x, y, f"x_{part}", f"y_{part}", shape)
        except (DtypeError, RangeError, ShapeError) as error:
            raise DataError(f"{self.name}: {error}; so the task's load must give other data") from None

    def _pair(self, x: Any, y: Any, x_name: str, y_name: str, shape: tuple[int, ...] | None) -> Pair:
        inputs, targets = read(x, x_name), read(y, y_name)
        if inputs.ndim < 2:
            raise ShapeError(f"{x_name} has shape {inputs.shape}, not (n, *shape)")
        if not len(inputs):
            raise ShapeError(f"{x_name} has shape {inputs.shape}: it holds no data")
        if shape is not None and inputs.shape[1:] != shape:
            raise ShapeError(f"{x_name} has data of shape {inputs.shape[1:]}, and x_train of {shape}")
        if self.images and inputs.ndim != 4:
            raise ShapeError(f"{x_name} has shape {inputs.shape}; augment needs images (n, channels, height, width)")
        if targets.ndim and len(targets) != len(inputs):
            raise ShapeError(f"{x_name} holds {len(inputs)} data, and {y_name} holds {len(targets)} targets")
        d = outputs(self.net, (inputs.shape[1:],))
        check_numbers(inputs, x_name, self.dtype)
        check_host_targets(targets, y_name, self.loss, len(inputs), d, self.dtype)
        laid = laid_out(targets)
        return laid_out(inputs), laid.astype(np.int64, copy=False) if self.loss.integer_targets else laid
