"""The common part of tasks on randomly drawn data."""

from abc import abstractmethod
from typing import Any, Self, TypeAlias

import numpy as np
from pydantic import Field, model_validator

from rbench.random import generator
from rbench.tasks.base import Task
from rbench.tasks.dataset import Dataset, fingerprint

Pair: TypeAlias = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]

_PROBLEM, _TRAIN, _TEST = range(3)


class Synthetic(Task):
    """A problem that is drawn once, and data that are drawn from it, float64.

    The problem, the training set and the test set have separate streams, so that no size affects another's numbers.

    Attributes:
        n_train: training data.
        n_test: test data.
        data_seed: seed of problem and data, independent of the seed of a run.
    """

    published = False
    n_train: int = Field(2000, ge=1)
    n_test: int = Field(500, ge=1)
    data_seed: int = Field(0, ge=0)

    @abstractmethod
    def draw(self, problem: np.random.Generator, data: np.random.Generator, n: int) -> Pair:
        """Draw x (n, …) and y (n, …).

        Args:
            problem: generator of what all data have in common, in the same state at every call.
            data: generator of the individual data.
            n: number of data.
        """

    def bytes_of(self, datum: int, problem: int = 0) -> int:
        """Bytes of all data: `datum` numbers in x and y of each, and `problem` numbers that they have in common."""
        return 8 * ((self.n_train + self.n_test) * datum + problem)

    def load(self, allow_unofficial: bool) -> Dataset:
        (x_train, y_train), (x_test, y_test) = (
            self.draw(self._stream(_PROBLEM), self._stream(part), n)
            for part, n in ((_TRAIN, self.n_train), (_TEST, self.n_test))
        )
        return Dataset(x_train, y_train, x_test, y_test, fingerprint(x_train, y_train, x_test, y_test))

    def _stream(self, index: int) -> np.random.Generator:
        return generator(self.data_seed, "data", index)

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        if self.batch_size is not None and self.batch_size > self.n_train:
            raise ValueError(f"batch_size={self.batch_size} is more than n_train={self.n_train}; lower it")
        return self


def orthogonal(rng: np.random.Generator, n: int) -> np.ndarray[Any, Any]:
    """A random orthogonal matrix (n, n), uniform over the group (Mezzadri 2007): Q of QR = Gaussian with diag R > 0."""
    q, r = np.linalg.qr(rng.standard_normal((n, n)))
    signed: np.ndarray[Any, Any] = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return signed


def spectrum(n: int, condition: float) -> np.ndarray[Any, Any]:
    """Numbers (n,), evenly spaced in their logarithm, from 1 down to 1 / condition."""
    return np.logspace(0, -np.log10(condition), n)
