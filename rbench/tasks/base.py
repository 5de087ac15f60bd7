"""Tasks: data, a network, a loss, a budget and a target."""

import hashlib
import zlib
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
from pydantic import PositiveInt

from rbench.backend import Backend
from rbench.errors import DataError, SpecError
from rbench.figures import TRAINING, judging
from rbench.losses import get_loss
from rbench.modules import Module, Params
from rbench.names import unknown
from rbench.random import generator
from rbench.spec import Configurable
from rbench.tasks.check import DataCheck

VALIDATION_FRACTION = 1 / 6

BatchSize: TypeAlias = PositiveInt | None
"""Data per batch; None for all training data."""


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


@dataclass(frozen=True)
class Target:
    """A figure to reach on the test set.

    Attributes:
        figure: name of a figure of evaluations that judges a task.
        value: what to reach: at least if higher is better, else at most.

    Raises:
        SpecError: no such figure judges a task.
    """

    figure: str
    value: float

    def __post_init__(self) -> None:
        """Check that the figure is one that judges a task."""
        known = [figure.name for figure in judging(TRAINING)]
        if self.figure not in known:
            raise SpecError(unknown("figure to reach", self.figure, known))

    def reached(self, evaluation: dict[str, Any]) -> bool:
        """Whether an evaluation meets the target."""
        figure = evaluation[self.figure]
        if figure is None:
            return False
        sign = next(one.sign for one in judging(TRAINING) if one.name == self.figure)
        return bool(sign * figure <= sign * self.value)


class Task(Configurable):
    """Data, a network and a loss; subclass it, set the class attributes, and register it with the `rbench_tasks` hook.

    Attributes:
        loss: name of the loss.
        epochs: default budget.
        target: default target, or None.
        published: whether it may read a published data set, for which `--unofficial-data` accepts another copy; False
            where data are made, or ship with a library.
        batch_size: data per batch, None for all training data (that `validation` leaves); the last, smaller batch of an
            epoch is left out.
        validation: train on five sixths of the training set and test on the rest, for tuning: the test set is not read.
    """

    loss: ClassVar[str]
    epochs: ClassVar[int]
    target: ClassVar[Target | None] = None
    published: ClassVar[bool] = True
    batch_size: BatchSize = 128
    validation: bool = False

    @abstractmethod
    def network(self) -> Module:
        """The network that is trained."""

    @abstractmethod
    def load(self, allow_unofficial: bool) -> Dataset:
        """Read or make the data.

        Args:
            allow_unofficial: take a local copy whose content is not the published one, and mark it so.

        Raises:
            DataError: absent and cannot be fetched, damaged, or not the official data.
        """

    def data_bytes(self) -> int | None:
        """Bytes that `load` holds at once, at least: the arrays that it returns, and those it makes them from.

        It is checked before `load` is called, so that data that do not fit are never made. None if unknown.
        """
        return None

    def initial(self, network: Module, backend: Backend, seed: int) -> Params:
        """The parameters that training starts from."""
        return network.init(backend, seed)

    def dataset(self, allow_unofficial: bool = False, dtype: str = "float64") -> Dataset:
        """The data, with the test set replaced by held-out training data where `validation` is set.

        Args:
            allow_unofficial: as for `load`.
            dtype: the dtype of the computation.

        Raises:
            DataError: as `load` does; or the data do not fit each other, the network, the loss or the dtype, as
                `rbench.tasks.check` says.
            SpecError: the batch size is more than the training data.
        """
        data = self.load(allow_unofficial)
        if not isinstance(data, Dataset):
            raise DataError(f"{self.spec}: its load returns {type(data).__name__}, not a Dataset")
        check = DataCheck(self.spec, self.network(), get_loss(self.loss), dtype, bool(data.augment))
        x, y = check.pair(data.x_train, data.y_train, "train")
        if self.validation:
            data = _held_out(replace(data, x_train=x, y_train=y), self.spec)
        else:
            x_test, y_test = check.pair(data.x_test, data.y_test, "test", x.shape[1:])
            data = replace(data, x_train=x, y_train=y, x_test=x_test, y_test=y_test)
        data = _plain(data)
        if self.batch_size is not None and self.batch_size > len(data.x_train):
            left = " that validation leaves" if self.validation else ""
            raise SpecError(
                f"{self.name}: batch_size={self.batch_size} is more than the {len(data.x_train)} training data{left}; "
                "lower it, or write batch_size=none for all of them"
            )
        return data


def _held_out(data: Dataset, name: str) -> Dataset:
    order = generator(0, "split").permutation(len(data.x_train))
    held = int(len(order) * VALIDATION_FRACTION)
    if not held:
        raise DataError(f"{name}: validation holds out a sixth of the training data, and there are {len(order)} in all")
    test, train = np.sort(order[:held]), np.sort(order[held:])
    x, y = data.x_train, data.y_train
    return replace(data, x_train=x[train], y_train=y[train], x_test=x[test], y_test=y[test])


def _plain(data: Dataset) -> Dataset:
    """The data in types that a record can hold, with a fingerprint of the arrays if the task gives none."""
    named = isinstance(data.sha256, str) and data.sha256
    return replace(
        data,
        sha256=data.sha256 if named else fingerprint(data.x_train, data.y_train, data.x_test, data.y_test),
        official=None if data.official is None else bool(data.official),
        augment=bool(data.augment),
    )


def checksum(data: Dataset) -> str:
    """A checksum of all arrays, much quicker than `fingerprint`: it detects accidental differences."""
    total = 0
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        total = zlib.crc32(
            np.ascontiguousarray(array).data, zlib.crc32(f"{array.dtype.str}{array.shape}".encode(), total)
        )
    return f"{total:08x}"


def fingerprint(*arrays: np.ndarray[Any, Any]) -> str:
    """SHA-256 of arrays: their dtypes, shapes and contents, in hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
