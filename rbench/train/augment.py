"""Augmentation: images mirrored and shifted at random, on the host, so that every backend gets the same ones.

On a CPU this takes less time than a gather of single pixels on the device, which the array standard could express.
"""

from typing import Any

import numpy as np

MARGIN = 4
"""Most pixels that an image is shifted by, along either axis and to either side."""


def augmented(images: np.ndarray[Any, Any], draws: np.random.Generator) -> np.ndarray[Any, Any]:
    """Crops at random places of images with `MARGIN` zeros around them, each mirrored with probability 1/2.

    Args:
        images: (n, channels, height, width).
        draws: gives three integers per image: the crop's first row and column, and 1 to mirror it.

    Returns:
        An array like `images`.
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
