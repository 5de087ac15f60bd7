"""The format of MNIST's files, IDX."""

import math

import numpy as np
from numpy.typing import NDArray

from rbench.errors import DataError


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
