"""`cifar10`: small photographs."""

import math
from typing import Any

import numpy as np
from pydantic import Field

from rbench.tasks import cifar_binary, datasets, files
from rbench.tasks.base import Dataset, Target
from rbench.tasks.images import Architecture, ImageClassifier
from rbench.tasks.networks import Activation

N_DATA = 60_000
MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.2470, 0.2435, 0.2616)
"""Mean and deviation of each channel's pixels k/255 over the published training images."""


class Cifar10(ImageClassifier):
    """Classify the 32×32 colour photographs of CIFAR-10 (Krizhevsky 2009): 50,000 to train, 10,000 to test.

    Pixels are float32 (n, 3, 32, 32), shifted and scaled to mean 0 and variance 1 in each channel over the training
    images.

    Attributes:
        augment: train on images that are mirrored and shifted at random, anew at every step; see `Dataset.augment`.
    """

    name = "cifar10"
    summary = "CIFAR-10 photographs; a convolutional network, a small residual network or a multilayer perceptron"
    always = ("architecture",)
    epochs = 5
    target = Target("test_accuracy", 0.65)
    image = cifar_binary.SHAPE
    activation: Activation = "relu"
    architecture: Architecture = Field("cnn", alias="network")
    augment: bool = True

    def data_bytes(self) -> int:
        return N_DATA * (math.prod(self.image) * 4 + 8)

    def load(self, allow_unofficial: bool) -> Dataset:
        contents = files.read(datasets.CIFAR10, allow_unofficial)
        parts = [cifar_binary.parse(content.data, str(content.path)) for content in contents]
        *train, (x_test, y_test) = parts
        return Dataset(
            _scaled([images for images, _ in train]),
            np.concatenate([labels for _, labels in train]).astype(np.int64),
            _scaled([x_test]),
            y_test.astype(np.int64),
            files.sum_of_sums(contents),
            all(content.official for content in contents),
            self.augment,
        )


def _scaled(parts: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    """Images of all parts, concatenated in a new array and scaled in place, to save copies."""
    mean, deviation = (np.float32(255) * np.array(values, np.float32)[:, None, None] for values in (MEAN, DEVIATION))
    scaled = np.concatenate(parts, dtype=np.float32)
    scaled -= mean
    scaled /= deviation
    return scaled
