"""`mnist` and `fashion-mnist`: handwritten digits, and articles of clothing in the same form."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rbench.errors import DataError
from rbench.tasks import datasets, files
from rbench.tasks.base import Target
from rbench.tasks.dataset import Dataset
from rbench.tasks.idx import parse_idx
from rbench.tasks.images import ImageClassifier

SIDE = 28
N_DATA = 70_000


class _Idx(ImageClassifier):
    """Classify 28×28 images that are published as MNIST is."""

    image = (1, SIDE, SIDE)

    def data_bytes(self) -> int:
        return N_DATA * (SIDE * SIDE * 4 + 8)

    def load(self, allow_unofficial: bool) -> Dataset:
        data = load_idx(self.name, allow_unofficial)
        if self.architecture == "mlp":
            return data
        x_train, x_test = (x.reshape(len(x), *self.image) for x in (data.x_train, data.x_test))
        return replace(data, x_train=x_train, x_test=x_test)


class Mnist(_Idx):
    """Classify the 28×28 images of MNIST (LeCun, Bottou, Bengio and Haffner 1998): 60,000 to train, 10,000 to test."""

    name = "mnist"
    summary = "MNIST digits, a multilayer perceptron or a convolutional network"
    epochs = 3
    target = Target("test_accuracy", 0.97)


class FashionMnist(_Idx):
    """Classify the 28×28 images of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), of the sizes and form of MNIST's."""

    name = "fashion-mnist"
    summary = "Fashion-MNIST, ten kinds of clothing, a multilayer perceptron or a convolutional network"
    epochs = 5
    target = Target("test_accuracy", 0.87)


def load_idx(name: str, allow_unofficial: bool) -> Dataset:
    """Images and labels of the data set `name`, `mnist` or `fashion-mnist`.

    Images k/255 in [0, 1] as float32 (n, 784), labels int64 (n,); `sha256` is that of the four files' checksums.

    Raises:
        DataError: as `files.read` does; or a file is not what its name says.
    """
    contents, sha256, official = files.read(datasets.DATASETS[name], allow_unofficial)
    x_train, y_train, x_test, y_test = (parse_idx(data, str(path)) for path, data in contents)
    paths = [path for path, _ in contents]
    for images, labels, (path, label_path) in ((x_train, y_train, paths[:2]), (x_test, y_test, paths[2:])):
        if images.shape[1:] != (SIDE, SIDE):
            raise DataError(f"{path} has shape {images.shape}; images are (n, {SIDE}, {SIDE})")
        if labels.shape != images.shape[:1] or labels.max(initial=0) > 9:
            raise DataError(
                f"{label_path} has shape {labels.shape} and values up to {labels.max(initial=0)}; "
                f"labels are {images.shape[:1]}, one per image, from 0 to 9"
            )
    y = [labels.astype(np.int64) for labels in (y_train, y_test)]
    return Dataset(_pixels(x_train), y[0], _pixels(x_test), y[1], sha256, official)


def _pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return images.reshape(len(images), SIDE * SIDE).astype(np.float32) / np.float32(255)
