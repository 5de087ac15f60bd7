"""The feed: batches of the training data and host-drawn noise, the same ones on every backend."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rbench.backend import Array
from rbench.errors import ShapeError
from rbench.methods import Batch, Problem
from rbench.modules import Module
from rbench.random import generator
from rbench.tasks import Dataset


class Feed:
    """Batches of the training data, in an order drawn for each epoch.

    Attributes:
        batch_size: data a batch.
        steps_per_epoch: batches an epoch; a smaller rest is left out.
    """

    def __init__(self, problem: Problem, data: Dataset, batch_size: int, seed: int) -> None:
        backend = problem.backend
        self.batch_size = batch_size
        self.steps_per_epoch = len(data.x_train) // batch_size
        self._count, self._seed, self._problem = len(data.x_train), seed, problem
        self._x = backend.asarray(data.x_train)
        self._y = (backend.labels if problem.loss.integer_targets else backend.asarray)(data.y_train)
        self._outputs = _outputs(problem.net, data)
        self._gather = backend.compile(self._take)
        self._order: tuple[int, np.ndarray[Any, Any]] = (-1, np.empty(0))

    def __call__(self, step: int) -> Batch:
        """The batch of a 0-based step, without noise."""
        return self._batch(self._chosen(step))

    def several(self, steps: Sequence[int]) -> Batch:
        """The batches of some steps, with a leading axis of steps, without noise."""
        return self._batch(np.stack([self._chosen(step) for step in steps]))

    def noise(self, step: int, samples: int) -> Array | None:
        """The loss's noise for `samples` targets a datum at a 0-based step; None for none."""
        return self._problem.backend.asarray(self._draw(step, samples)) if samples else None

    def several_noise(self, steps: Sequence[int], samples: int) -> Array | None:
        """The noise of some steps, with a leading axis of steps; None for none."""
        if not samples:
            return None
        return self._problem.backend.asarray(np.stack([self._draw(step, samples) for step in steps]))

    def _chosen(self, step: int) -> np.ndarray[Any, Any]:
        """Which data the batch of a step holds."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = epoch, generator(self._seed, "order", epoch).permutation(self._count)
        return self._order[1][place * self.batch_size :][: self.batch_size]

    def _batch(self, chosen: np.ndarray[Any, Any]) -> Batch:
        backend = self._problem.backend
        x, y = self._gather(self._x, self._y, backend.asarray(chosen, dtype=backend.xp.int64))
        return Batch(x, y, None)

    def _take(self, x: Array, y: Array, indices: Array) -> tuple[Array, Array]:
        xp = self._problem.backend.xp
        flat = xp.reshape(indices, (-1,))
        x, y = xp.take(x, flat, axis=0), xp.take(y, flat, axis=0)
        return xp.reshape(x, (*indices.shape, *x.shape[1:])), xp.reshape(y, (*indices.shape, *y.shape[1:]))

    def _draw(self, step: int, samples: int) -> np.ndarray[Any, Any]:
        draws = generator(self._seed, "samples", step)
        return self._problem.loss.noise(draws, self.batch_size, samples, self._outputs)


def _outputs(net: Module, data: Dataset) -> int:
    """Outputs of a network; checks that the data fit it."""
    (shape,) = net.out_space((data.x_train.shape[1:],))
    if shape is None or len(shape) != 1 or shape[0] is None:
        raise ShapeError(f"a task's network must return one vector, not {shape}: {net!r}")
    return shape[0]
