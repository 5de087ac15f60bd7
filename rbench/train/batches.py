"""Batches of the training data, augmented if the task asks for it, and noise; the same on every backend."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rbench.backend import Array
from rbench.errors import ShapeError
from rbench.methods import Batch, Problem
from rbench.modules import Module
from rbench.random import generator
from rbench.tasks import Dataset
from rbench.train.augment import augmented


class Batches:
    """Batches of the training data, in an order drawn for each epoch; all that is random is drawn on the host.

    Args:
        problem: what is trained.
        data: the data.
        batch_size: data per batch; all training data if None.
        seed: of the order, and of the augmentation.
        samples_seed: of the noise; `seed` if None.

    Attributes:
        batch_size: data per batch.
        steps_per_epoch: batches per epoch; a smaller last one is left out.
    """

    def __init__(
        self, problem: Problem, data: Dataset, batch_size: int | None, seed: int, samples_seed: int | None = None
    ) -> None:
        backend = problem.backend
        self.batch_size = batch_size or len(data.x_train)
        self.steps_per_epoch = len(data.x_train) // self.batch_size
        self._data, self._problem = data, problem
        self._seed = seed
        self._samples_seed = seed if samples_seed is None else samples_seed
        self._put_y = backend.labels if problem.loss.integer_targets else backend.asarray
        # Data that are augmented on the host at every step stay there.
        self._kept = None if data.augment else (backend.asarray(data.x_train), self._put_y(data.y_train))
        self._outputs = _outputs(problem.net, data)
        self._gather = backend.compile(self._take)
        self._order: tuple[int, np.ndarray[Any, Any]] = (-1, np.empty(0))

    def __call__(self, step: int) -> Batch:
        """The batch of a 0-based step, without noise."""
        return self._batch((step,), self._chosen(step))

    def several(self, steps: Sequence[int]) -> Batch:
        """The batches of some steps, with a leading axis of steps, without noise."""
        return self._batch(steps, np.stack([self._chosen(step) for step in steps]))

    def noise(self, step: int, samples: int) -> Array | None:
        """The loss's noise for `samples` targets per datum at a 0-based step; None for none."""
        return self._problem.backend.asarray(self._draw(step, samples)) if samples else None

    def several_noise(self, steps: Sequence[int], samples: int) -> Array | None:
        """The noise of some steps, with a leading axis of steps; None for none."""
        if not samples:
            return None
        return self._problem.backend.asarray(np.stack([self._draw(step, samples) for step in steps]))

    def _chosen(self, step: int) -> np.ndarray[Any, Any]:
        """Indices of the data in a step's batch."""
        epoch, place = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = epoch, generator(self._seed, "order", epoch).permutation(len(self._data.x_train))
        return self._order[1][place * self.batch_size :][: self.batch_size]

    def _batch(self, steps: Sequence[int], chosen: np.ndarray[Any, Any]) -> Batch:
        """The data of indices (batch,), for one step, or (steps, batch)."""
        backend = self._problem.backend
        if self._kept is None:
            x = self._augmented(steps, chosen.reshape(len(steps), -1))
            x = x.reshape(*chosen.shape, *x.shape[1:])
            return Batch(backend.asarray(x), self._put_y(self._data.y_train[chosen]), None)
        x, y = self._gather(*self._kept, backend.asarray(chosen, dtype=backend.xp.int64))
        return Batch(x, y, None)

    def _augmented(self, steps: Sequence[int], chosen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Augmented images of indices (steps, batch), on the host, one step after the other."""
        images, seed = self._data.x_train, self._seed
        pairs = zip(steps, chosen, strict=True)
        return np.concatenate([augmented(images[rows], generator(seed, "augmentation", step)) for step, rows in pairs])

    def _take(self, x: Array, y: Array, indices: Array) -> tuple[Array, Array]:
        xp = self._problem.backend.xp
        flat = xp.reshape(indices, (-1,))
        x, y = xp.take(x, flat, axis=0), xp.take(y, flat, axis=0)
        return xp.reshape(x, (*indices.shape, *x.shape[1:])), xp.reshape(y, (*indices.shape, *y.shape[1:]))

    def _draw(self, step: int, samples: int) -> np.ndarray[Any, Any]:
        draws = generator(self._samples_seed, "samples", step)
        return self._problem.loss.noise(draws, self.batch_size, samples, self._outputs)


def _outputs(net: Module, data: Dataset) -> int:
    """Outputs of a network; checks that the data fit it."""
    (shape,) = net.out_space((data.x_train.shape[1:],))
    if shape is None or len(shape) != 1 or shape[0] is None:
        raise ShapeError(f"a task's network must return one vector, not {shape}: {net!r}")
    return shape[0]
