"""Quasi-random points of a search space."""

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from rbench.methods.space import Choice, Dimension

Point: TypeAlias = dict[str, Any]
"""What was drawn for each setting: a number, or the index of a choice."""


def points(space: Mapping[str, Dimension], count: int, seed: int) -> list[Point]:
    """The first points of a scrambled Sobol sequence (Sobol 1967; Owen 1998) over a space.

    Spaces of equally many settings share the sequence in the unit cube: methods are tried at corresponding points. A
    power of two of points covers a space most evenly. The seed is of the scrambling.
    """
    from scipy.stats import qmc

    # `seed` scrambles otherwise than `rng`: so these are the points of Optuna's sampler, with which tunes were begun.
    cube = qmc.Sobol(len(space), seed=seed).random_base2(math.ceil(math.log2(count)))[:count]
    return [{name: _drawn(space[name], float(u)) for name, u in zip(space, row, strict=True)} for row in cube]


def _drawn(dimension: Dimension, u: float) -> Any:
    """What a dimension has at a place u of its axis, from 0 to 1."""
    if isinstance(dimension, Choice):
        return min(int(u * len(dimension.values)), len(dimension.values) - 1)
    low, high = math.log(dimension.low), math.log(dimension.high)
    return math.exp(low + u * (high - low))
