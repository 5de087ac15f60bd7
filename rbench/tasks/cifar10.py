"""`cifar10`: small photographs."""

import math

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from rbench.errors import DataError
from rbench.tasks import datasets, files
from rbench.tasks.base import Target
from rbench.tasks.dataset import Dataset
from rbench.tasks.images import Architecture, ImageClassifier
from rbench.tasks.networks import Activation

ROWS = 10_000
"""Images in every file."""

ROW_BYTES = 1 + 3 * 32 * 32
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
    image = (3, 32, 32)
    activation: Activation = "relu"
    architecture: Architecture = Field("cnn", alias="network")
    augment: bool = True

    def data_bytes(self) -> int:
        return N_DATA * (math.prod(self.image) * 4 + 8)

    def load(self, allow_unofficial: bool) -> Dataset:
        contents, sha256, official = files.read(datasets.CIFAR10, allow_unofficial)
        *train, (x_test, y_test) = [parse(data, str(path)) for path, data in contents]
        return Dataset(
            _scaled([images for images, _ in train]),
            np.concatenate([labels for _, labels in train]).astype(np.int64),
            _scaled([x_test]),
            y_test.astype(np.int64),
            sha256,
            official,
            self.augment,
        )


def _scaled(parts: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Images of all parts, concatenated in a new array and scaled in place, to save copies."""
    mean, deviation = (np.float32(255) * np.array(values, np.float32)[:, None, None] for values in (MEAN, DEVIATION))
    scaled = np.concatenate(parts, dtype=np.float32)
    scaled -= mean
    scaled /= deviation
    return scaled


def parse(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the images and labels of a file of the binary version, as its page (Krizhevsky 2009) describes it.

    Each record is a label from 0 to 9, then the red, the green and the blue pixels, each plane row by row.

    Args:
        content: bytes of the file.
        name: its name in errors.

    Returns:
        Images (ROWS, 3, 32, 32) and labels (ROWS,), read-only, on `content`'s memory.

    Raises:
        DataError: it has another size, or holds a label above 9.
    """
    if len(content) != ROWS * ROW_BYTES:
        raise DataError(
            f"{name} has {len(content):,} bytes; {ROWS:,} images, each with its label, take {ROWS * ROW_BYTES:,}: "
            "it was cut off, or is another file. Replace it"
        )
    rows = np.frombuffer(content, np.uint8).reshape(ROWS, ROW_BYTES)
    images, labels = rows[:, 1:].reshape(ROWS, *Cifar10.image), rows[:, 0]
    if labels.max() > 9:
        first = int(np.argmax(labels > 9))
        raise DataError(
            f"{name} has the label {labels[first]} at image {first}; labels are from 0 to 9, so it is not CIFAR-10's "
            "binary version. Replace it"
        )
    return images, labels
