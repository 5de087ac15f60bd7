"""`mnist`: handwritten digits."""

from dataclasses import replace
from typing import Any

import numpy as np

from rbench.errors import DataError
from rbench.tasks import datasets, files, idx
from rbench.tasks.base import Dataset, Target
from rbench.tasks.images import ImageClassifier

SIDE = 28
N_DATA = 70_000


class Mnist(ImageClassifier):
    """Classify the 28×28 images of MNIST (LeCun, Bottou, Bengio and Haffner 1998): 60,000 to train, 10,000 to test."""

    name = "mnist"
    summary = "MNIST digits, a multilayer perceptron or a convolutional network"
    epochs = 3
    target = Target("test_accuracy", 0.97)
    image = (1, SIDE, SIDE)

    def data_bytes(self) -> int:
        return N_DATA * (SIDE * SIDE * 4 + 8)

    def load(self, allow_unofficial: bool) -> Dataset:
        data = load_mnist(allow_unofficial)
        if self.architecture == "mlp":
            return data
        x_train, x_test = (x.reshape(len(x), *self.image) for x in (data.x_train, data.x_test))
        return replace(data, x_train=x_train, x_test=x_test)


def load_mnist(allow_unofficial: bool) -> Dataset:
    """Images k/255 in [0, 1] as float32 (n, 784), labels int64 (n,); `sha256` is `files.sum_of_sums` of the four.

    Raises:
        DataError: as `files.read` does; or a file is not what its name says.
    """
    contents = files.read(datasets.MNIST, allow_unofficial)
    x_train, y_train, x_test, y_test = (idx.parse(content.data, str(content.path)) for content in contents)
    for images, labels, (content, label_content) in (
        (x_train, y_train, contents[:2]),
        (x_test, y_test, contents[2:]),
    ):
        if images.shape[1:] != (SIDE, SIDE):
            raise DataError(f"{content.path} has shape {images.shape}; images are (n, {SIDE}, {SIDE})")
        if labels.shape != images.shape[:1] or labels.max(initial=0) > 9:
            raise DataError(
                f"{label_content.path} has shape {labels.shape} and values up to {labels.max(initial=0)}; "
                f"labels are {images.shape[:1]}, one per image, from 0 to 9"
            )
    return Dataset(
        _pixels(x_train),
        y_train.astype(np.int64),
        _pixels(x_test),
        y_test.astype(np.int64),
        files.sum_of_sums(contents),
        all(content.official for content in contents),
    )


def _pixels(images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return images.reshape(len(images), SIDE * SIDE).astype(np.float32) / np.float32(255)
