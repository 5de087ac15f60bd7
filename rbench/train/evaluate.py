"""Evaluation: losses and errors over a data set, in chunks."""

import math
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
        """Means over the training and the test data, under the names of a record's history.

        `test_accuracy` is the share of data whose largest output is their label, None for real targets; squared errors
        are ‖prediction − y‖², summed over the outputs of a datum, None for labels.
        """
        train_loss, train_rest = self._means(params, *self._train)
        test_loss, test_rest = self._means(params, *self._test)
        labels = self._problem.loss.integer_targets
        return {
            "train_loss": train_loss,
            "test_loss": test_loss,
            "test_accuracy": test_rest if labels else None,
            "train_squared_error": None if labels else train_rest,
            "test_squared_error": None if labels else test_rest,
        }

    def _means(self, params: Params, x: Array, y: Array) -> tuple[float, float]:
        """Means of the loss, and of hits or squared errors."""
        count = x.shape[0]
        chunk = max(1, min(CHUNK, CHUNK_NUMBERS // math.prod(x.shape[1:])))
        loss = rest = 0.0
        for start in range(0, count, chunk):
            sums = self._sums(params, x[start : start + chunk], y[start : start + chunk])
            values = self._problem.backend.to_numpy(sums)
            loss += float(values[0])
            rest += float(values[1])
        return loss / count, rest / count

    def _chunk_sums(self, params: Params, x: Array, y: Array) -> Array:
        """Sums over a chunk of the loss, and of hits or squared errors, as one array (2,)."""
        backend = self._problem.backend
        loss = self._problem.loss
        xp = backend.xp
        (z,), _ = self._problem.net.forward(backend, params, (x,))
        if loss.integer_targets:
            rest = xp.sum(xp.astype(xp.argmax(z, axis=1) == y, z.dtype))
        else:
            rest = xp.sum((loss.predictions(backend, z) - y) ** 2)
        return xp.stack([xp.sum(loss.values(backend, z, y)), rest])
