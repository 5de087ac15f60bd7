"""`mnist`: handwritten digits."""

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rbench.errors import DataError
from rbench.tasks import datasets, files
from rbench.tasks.base import Target
from rbench.tasks.dataset import Dataset
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
    """Images k/255 in [0, 1] as float32 (n, 784), labels int64 (n,); `sha256` is that of the four files' checksums.

    Raises:
        DataError: as `files.read` does; or a file is not what its name says.
    """
    contents, sha256, official = files.read(datasets.MNIST, allow_unofficial)
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


def parse_idx(content: bytes, name: str) -> NDArray[np.uint8]:
    """Read an array of unsigned bytes in the format of MNIST's files, IDX, as their page describes it.

    The file is two zeros, the code 8 for unsigned bytes, the number of axes, the axes' sizes as big-endian 32-bit
    integers, and the values in C order.

    Args:
        content: bytes of the uncompressed file.
        name: its name in errors.

    Returns:
        A read-only array on `content`'s memory.

    Raises:
        DataError: another magic number, or more or fewer bytes than the sizes say.
    """
    if len(content) < 4 or content[:3] != bytes((0, 0, 8)):
        raise DataError(
            f"{name} is not an IDX file of unsigned bytes: it starts with {content[:4].hex() or 'nothing'}, "
            "not with 000008"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"{name} ends within its header: {len(content)} bytes, but {content[3]} axes take {start}")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", content[3], offset=4))
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{name} holds {len(content) - start} values, but its sizes {shape} make {math.prod(shape)}: "
            "it was cut off, or is another file"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
