"""The binary version of CIFAR-10, as its page (Krizhevsky 2009) describes it."""

import numpy as np
from numpy.typing import NDArray

from rbench.errors import DataError

SHAPE = (3, 32, 32)
ROW_BYTES = 1 + 3 * 32 * 32
ROWS = 10_000
"""Images in every file."""


def parse(content: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read the images and labels of a file.

    Each record is a label from 0 to 9, then the red, the green and the blue pixels, each plane row by row.

    Args:
        content: bytes of the file.
        name: its name in errors.

    Returns:
        Images (rows, 3, 32, 32) and labels (rows,), read-only, on `content`'s memory.

    Raises:
        DataError: it has another size, or holds a label above 9.
    """
    if len(content) != ROWS * ROW_BYTES:
        raise DataError(
            f"{name} has {len(content):,} bytes; {ROWS:,} images, each with its label, take {ROWS * ROW_BYTES:,}: "
            "it was cut off, or is another file. Replace it"
        )
    rows = np.frombuffer(content, np.uint8).reshape(ROWS, ROW_BYTES)
    images, labels = rows[:, 1:].reshape(ROWS, *SHAPE), rows[:, 0]
    if labels.max() > 9:
        first = int(np.argmax(labels > 9))
        raise DataError(
            f"{name} has the label {labels[first]} at image {first}; labels are from 0 to 9, so it is not CIFAR-10's "
            "binary version. Replace it"
        )
    return images, labels
