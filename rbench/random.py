"""Random numbers drawn on the host, so that every backend sees the same ones."""

from functools import lru_cache
from numbers import Integral
from typing import Literal, TypeAlias, get_args

import numpy as np

from rbench.errors import ParameterError
from rbench.names import shown

Purpose: TypeAlias = Literal["weights", "order", "samples", "data", "split", "augmentation"]
"""What the numbers are for; no two purposes share a stream."""

_PURPOSES: tuple[Purpose, ...] = get_args(Purpose)


def generator(seed: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """The generator of one purpose at one index, such as a layer, an epoch or a step.

    Counter-based (Philox; Salmon et al. 2011): the key is made of seed and purpose, and the index is the counter's
    highest word, so that any step's numbers can be drawn without those before it.

    Raises:
        ParameterError: the seed is not an integer ≥ 0.
    """
    check_seed(seed)
    return np.random.Generator(np.random.Philox(key=_key(int(seed), purpose), counter=[0, 0, 0, index]))


@lru_cache(64)  # making one takes nearly as long as a step of a small network
def _key(seed: int, purpose: Purpose) -> np.ndarray:
    return np.random.SeedSequence((seed, _PURPOSES.index(purpose))).generate_state(2, np.uint64)


def check_seed(seed: int) -> None:
    """Raise a `ParameterError` unless a seed is an integer ≥ 0."""
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise ParameterError(f"seed is {shown(seed)}; give an integer of at least 0")
