"""Crops and mirror images drawn at every step, the same on every backend."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from helpers.registered import why_not
from rbench.losses import get_loss
from rbench.methods import Problem
from rbench.modules import Flatten, Linear
from rbench.plugins import get_backend
from rbench.random import generator
from rbench.tasks import Dataset
from rbench.train.batches import MARGIN, Batches, augmented
from rbench.train.evaluate import Evaluator


def slowly(image, row, column, mirrored):
    """A crop, pixel by pixel."""
    channels, height, width = image.shape
    result = np.zeros_like(image)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                across = width - 1 - j if mirrored else j
                y, x = row + i - MARGIN, column + across - MARGIN
                if 0 <= y < height and 0 <= x < width:
                    result[c, i, j] = image[c, y, x]
    return result


IMAGES = np.random.default_rng(2).standard_normal((40, 3, 6, 5))
DATA = Dataset(IMAGES, np.arange(40) % 10, IMAGES[:7], np.arange(7), "", augment=True)
NET = Flatten() >> Linear(90, 10)
BATCH, STEPS = 8, (0, 3, 4, 5, 11)


BACKENDS = [
    pytest.param(name, marks=[pytest.mark.skip(reason=why_not(name))] if why_not(name) else [])
    for name in ("numpy", "torch", "jax")
]


@cache
def batches_of(name, seed=0, augment=True):
    device = None if name == "numpy" else "cpu"
    problem = Problem(get_backend(name, dtype="float64", device=device), NET, get_loss("cross_entropy"))
    return Batches(problem, replace(DATA, augment=augment), BATCH, seed)


class TestAugmentation:
    def test_images_are_cropped_and_mirrored_as_drawn(self):
        moves = generator(3, "augmentation").integers(0, (9, 9, 2), (len(IMAGES), 3))
        expected = [slowly(image, *move) for image, move in zip(IMAGES, moves, strict=True)]
        np.testing.assert_array_equal(augmented(IMAGES, generator(3, "augmentation")), expected)

    def test_every_shift_comes_up_and_half_of_the_images_are_mirrored(self):
        point = np.zeros((5000, 1, 9, 9), np.float32)
        point[:, 0, 4, 4] = 1
        moved = augmented(point, generator(0, "augmentation"))
        assert moved.dtype == np.float32
        places = moved.mean(axis=(0, 1))
        np.testing.assert_allclose(places, 1 / 81, atol=0.006)
        left = np.zeros((5000, 1, 9, 20))
        left[..., :10] = 1
        sums = augmented(left, generator(0, "augmentation")).sum(axis=(1, 2))
        np.testing.assert_allclose(np.mean(sums[:, :10].sum(axis=1) < sums[:, 10:].sum(axis=1)), 0.5, atol=0.03)

    @pytest.mark.parametrize("name", BACKENDS)
    def test_batches_are_the_same_numbers_on_every_backend(self, name):
        batches, reference = batches_of(name), batches_of("numpy")
        to_numpy = get_backend(name, device=None if name == "numpy" else "cpu").to_numpy
        several = batches(STEPS)
        for place, step in enumerate(STEPS):
            plain, batch, expected = batches_of("numpy", augment=False)(step), batches(step), reference(step)
            moved = augmented(plain.x, generator(0, "augmentation", step))
            for x in (batch.x, several.x[place], expected.x):
                np.testing.assert_array_equal(to_numpy(x), moved)
            for y in (batch.y, several.y[place], expected.y):
                np.testing.assert_array_equal(to_numpy(y), plain.y)
            assert to_numpy(batch.y).dtype == np.int64

    def test_seed_and_step_make_the_batch(self):
        first = batches_of("numpy")(2).x
        batches_of("numpy")(7)
        np.testing.assert_array_equal(batches_of("numpy")(2).x, first)
        assert not (first == batches_of("numpy", seed=1)(2).x).all()

    def test_order_and_noise_stay_those_of_a_feed_without(self):
        batches, plain = batches_of("numpy"), batches_of("numpy", augment=False)
        np.testing.assert_array_equal(batches(6).y, plain(6).y)
        np.testing.assert_array_equal(batches.noise(6, 2), plain.noise(6, 2))

    def test_evaluation_sees_the_images_as_they_are(self):
        problem = Problem(get_backend("numpy"), NET, get_loss("cross_entropy"))
        params = NET.init(problem.backend, 0)
        assert Evaluator(problem, DATA)(params) == Evaluator(problem, replace(DATA, augment=False))(params)
