"""Batches of the training data, augmented if the task asks for it, and noise; the same on every backend."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rbench.backend import Array
from rbench.errors import ShapeError
from rbench.methods import Batch, Problem
from rbench.modules import Module
from rbench.random import generator
from rbench.tasks import Dataset

MARGIN = 4
"""Most pixels that an augmented image is shifted by, along either axis and to either side."""


class Batches:
    """Batches of the training data, in an order drawn for each epoch; all that is random is drawn on the host.

    `seed` is of the order and of the augmentation, `samples_seed` of the noise, for which None means `seed`.

    Attributes:
        batch_size: data per batch; where None is given, all training data.
        steps_per_epoch: batches per epoch; a smaller last one is left out.
    """

    def __init__(
        self, problem: Problem, data: Dataset, batch_size: int | None, seed: int, samples_seed: int | None = None
    ) -> None:
        backend = problem.backend
        self.batch_size = batch_size or len(data.x_train)
        self.steps_per_epoch = len(data.x_train) // self.batch_size
        self._data = data
        self._problem = problem
        self._seed = seed
        self._samples_seed = seed if samples_seed is None else samples_seed
        self._put_y = backend.labels if problem.loss.integer_targets else backend.asarray
        # Data that are augmented on the host at every step stay there.
        self._kept = None if data.augment else (backend.asarray(data.x_train), self._put_y(data.y_train))
        self._outputs = _outputs(problem.net, data)
        self._gather = backend.compile(self._take)
        self._order: tuple[int, np.ndarray[Any, Any]] = (-1, np.empty(0))

    def __call__(self, steps: int | Sequence[int]) -> Batch:
        """The batch of a 0-based step, or those of several with a leading axis of steps, without noise."""
        backend = self._problem.backend
        chosen = _stacked(steps, self._chosen)
        if self._kept is None:
            x = _stacked(steps, self._augmented)
            return Batch(backend.asarray(x), self._put_y(self._data.y_train[chosen]), None)
        x, y = self._gather(*self._kept, backend.asarray(chosen, dtype=backend.xp.int64))
        return Batch(x, y, None)

    def noise(self, steps: int | Sequence[int], samples: int) -> Array | None:
        """The loss's noise for `samples` targets per datum, for steps as in a call; None for no samples."""

        def drawn(step: int) -> np.ndarray[Any, Any]:
            draws = generator(self._samples_seed, "samples", step)
            return self._problem.loss.noise(draws, self.batch_size, samples, self._outputs)

        return self._problem.backend.asarray(_stacked(steps, drawn)) if samples else None

    def _chosen(self, step: int) -> np.ndarray[Any, Any]:
        """Indices of the data in a step's batch."""
        epoch, index = divmod(step, self.steps_per_epoch)
        if self._order[0] != epoch:
            self._order = epoch, generator(self._seed, "order", epoch).permutation(len(self._data.x_train))
        return self._order[1][index * self.batch_size :][: self.batch_size]

    def _augmented(self, step: int) -> np.ndarray[Any, Any]:
        return augmented(self._data.x_train[self._chosen(step)], generator(self._seed, "augmentation", step))

    def _take(self, x: Array, y: Array, indices: Array) -> tuple[Array, Array]:
        xp = self._problem.backend.xp
        flat = xp.reshape(indices, (-1,))
        x, y = xp.take(x, flat, axis=0), xp.take(y, flat, axis=0)
        return xp.reshape(x, (*indices.shape, *x.shape[1:])), xp.reshape(y, (*indices.shape, *y.shape[1:]))


def augmented(images: np.ndarray[Any, Any], draws: np.random.Generator) -> np.ndarray[Any, Any]:
    """Crops at random positions of images with `MARGIN` zeros around them, each mirrored with probability 1/2.

    Images are (n, channels, height, width), and three integers are drawn for each: the first row and column of the
    crop, and 1 to mirror it. It is done on the host, in less time than a gather of single pixels on the device takes.
    """
    edge = (MARGIN, MARGIN)
    padded = np.pad(images, ((0, 0), (0, 0), edge, edge))
    moves = draws.integers(0, (2 * MARGIN + 1, 2 * MARGIN + 1, 2), (len(images), 3))
    height, width = images.shape[2:]
    result = np.empty_like(images)
    for target, source, (row, column, mirrored) in zip(result, padded, moves, strict=True):
        crop = source[:, row : row + height, column : column + width]
        target[...] = crop[:, :, ::-1] if mirrored else crop
    return result


def _stacked(steps: int | Sequence[int], of_step: Callable[[int], np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    return of_step(steps) if isinstance(steps, int) else np.stack([of_step(step) for step in steps])


def _outputs(net: Module, data: Dataset) -> int:
    """Outputs of a network; checks that the data fit it."""
    (shape,) = net.out_space((data.x_train.shape[1:],))
    if shape is None or len(shape) != 1 or shape[0] is None:
        raise ShapeError(f"a task's network must return one vector, not {shape}: {net!r}")
    return shape[0]
