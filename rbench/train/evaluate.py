"""Evaluation: losses and errors over a data set, in chunks."""

import math
from dataclasses import dataclass
from typing import Any

from rbench.backend import Array
from rbench.methods import Problem
from rbench.modules import Params
from rbench.tasks import Dataset

CHUNK = 2000
CHUNK_NUMBERS = 400_000
"""Most data, and most numbers in their inputs, per chunk: a convolution's patches take many times more."""

TRAIN_SAMPLES = 10_000
"""Most training data, the first ones, that the reported training loss is a mean over."""


@dataclass(frozen=True)
class Figures:
    """Means over the data.

    Attributes:
        loss: the loss.
        accuracy: share of data whose largest output is their label; None for real targets.
        squared_error: ‖prediction − y‖², summed over the outputs of a datum; None for labels.
    """

    loss: float
    accuracy: float | None
    squared_error: float | None


class Evaluator:
    """Evaluates parameters on the training and test data of a task, both kept on the device."""

    def __init__(self, problem: Problem, data: Dataset) -> None:
        backend = problem.backend
        self._problem = problem
        put_y = backend.labels if problem.loss.integer_targets else backend.asarray
        self._train = backend.asarray(data.x_train[:TRAIN_SAMPLES]), put_y(data.y_train[:TRAIN_SAMPLES])
        self._test = backend.asarray(data.x_test), put_y(data.y_test)
        self._sums = backend.compile(self._chunk_sums)

    def __call__(self, params: Params) -> dict[str, Any]:
        """Training and test figures of one set of parameters, under the names of a record's history."""
        train, test = self._over(params, *self._train), self._over(params, *self._test)
        return {
            "train_loss": train.loss,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "train_squared_error": train.squared_error,
            "test_squared_error": test.squared_error,
        }

    def _over(self, params: Params, x: Array, y: Array) -> Figures:
        count = x.shape[0]
        chunk = max(1, min(CHUNK, CHUNK_NUMBERS // math.prod(x.shape[1:])))
        loss = error = 0.0
        for start in range(0, count, chunk):
            sums = self._sums(params, x[start : start + chunk], y[start : start + chunk])
            values = self._problem.backend.to_numpy(sums)
            loss += float(values[0])
            error += float(values[1])
        if self._problem.loss.integer_targets:
            return Figures(loss / count, error / count, None)
        return Figures(loss / count, None, error / count)

    def _chunk_sums(self, params: Params, x: Array, y: Array) -> Array:
        """Sums over a chunk of the loss, and of hits or squared errors, as one array (2,)."""
        backend, loss = self._problem.backend, self._problem.loss
        xp = backend.xp
        (z,), _ = self._problem.net.forward(backend, params, (x,))
        if loss.integer_targets:
            second = xp.sum(xp.astype(xp.argmax(z, axis=1) == y, z.dtype))
        else:
            second = xp.sum((loss.predictions(backend, z) - y) ** 2)
        return xp.stack([xp.sum(loss.values(backend, z, y)), second])
