"""The phase clock: seconds of data, warm-up, steps and evaluation, each apart."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Literal, TypeAlias

import numpy as np

from rbench.backend import Backend

Phase: TypeAlias = Literal["data", "warm_up", "step", "evaluation"]
"""Only `step` counts as training."""


class Clock:
    """Seconds spent in each phase.

    Attributes:
        seconds: by phase.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.seconds: dict[str, float] = {"data": 0.0, "warm_up": 0.0, "step": 0.0, "evaluation": 0.0}

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Add the time of the block to a phase, until the backend has done what was asked of it."""
        start = perf_counter()
        try:
            yield
        finally:
            self._backend.synchronize()
            self.seconds[name] += perf_counter() - start


def timed(backend: Backend, function: Callable[[], Any]) -> float:
    """Seconds that one call takes until its results are there."""
    backend.synchronize()
    start = perf_counter()
    result = function()
    backend.synchronize(arrays_of(result))
    return perf_counter() - start


def paired_seconds(
    backend: Backend, first: Callable[[], Any], second: Callable[[], Any], *, budget: float = 1.0, pairs: int = 25
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Time two functions in turn, A B, B A, A B …, so that a drift of the machine's speed falls on both.

    Args:
        backend: synchronised before every reading.
        first: A.
        second: B.
        budget: seconds after which no pair is begun, once there are 5.
        pairs: most pairs to time.

    Returns:
        Seconds of A and of B, pair by pair.
    """
    times: list[tuple[float, float]] = []
    start = perf_counter()
    while len(times) < pairs and (len(times) < 5 or perf_counter() - start < budget):
        if len(times) % 2:
            other = timed(backend, second)
            times.append((timed(backend, first), other))
        else:
            times.append((timed(backend, first), timed(backend, second)))
    seconds = np.asarray(times)
    return seconds[:, 0], seconds[:, 1]


def arrays_of(tree: Any) -> list[Any]:
    """All arrays of nested tuples, lists and dicts."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in arrays_of(value)]
    if isinstance(tree, tuple | list):
        return [leaf for value in tree for leaf in arrays_of(value)]
    return [] if tree is None else [tree]
