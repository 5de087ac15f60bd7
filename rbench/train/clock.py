"""The phase clock: every second of a run counts for one phase, and only steps count as training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import numpy as np

from rbench.backend import Backend

Result = TypeVar("Result")

Phase: TypeAlias = Literal["data", "compile", "warm_up", "step", "evaluation", "other"]
"""What a second counts for; only `step` is training:

- `data` the data set, the initial parameters, and every batch trained on;
- `compile` what first calls of the method's steps take beyond later ones, at any time: a record's `compile_seconds`;
- `warm_up` the rest before the first step: memory predicted, the initial state, steps timed beside SGD's, with SGD's
  compilation; and the rest of later first calls, which are made twice, first without effect;
- `step` steps, with the drawing of their samples;
- `evaluation` training and test figures, with the compilation of the first;
- `other` what is left: losses read, progress reported, a step beyond a budget of seconds.
"""


class Clock:
    """Seconds of a run by phase; each second since the clock was made counts for one.

    The backend is synchronised before every reading, so that work counts for the phase that started it.

    Attributes:
        seconds: by phase, until the last reading; outside of any block they count for `other`.
    """

    def __init__(self, backend: Backend) -> None:
        self.seconds: dict[str, float] = dict.fromkeys(get_args(Phase), 0.0)
        self._backend = backend
        self._phase = "other"
        backend.synchronize()
        self._since = perf_counter()

    @contextmanager
    def phase(self, name: Phase) -> Iterator[None]:
        """Count a block for a phase, except for nested phases."""
        outer = self._turn(name)
        try:
            yield
        finally:
            self._turn(outer)

    def read(self) -> dict[str, float]:
        """Seconds by phase until now."""
        self._turn(self._phase)
        return dict(self.seconds)

    def move(self, seconds: float, source: Phase, target: Phase) -> None:
        """Move counted seconds from one phase to another."""
        self.seconds[source] -= seconds
        self.seconds[target] += seconds

    def _turn(self, name: str) -> str:
        """Switch to a phase; returns the previous one."""
        self._backend.synchronize()
        now = perf_counter()
        self.seconds[self._phase] += now - self._since
        self._since = now
        before = self._phase
        self._phase = name
        return before


def timed(backend: Backend, function: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds that one call takes until its results are ready, and the results."""
    backend.synchronize()
    start = perf_counter()
    result = function()
    backend.synchronize(arrays_of(result))
    return perf_counter() - start, result


def paired_seconds(
    backend: Backend, first: Callable[[], Any], second: Callable[[], Any], *, budget: float = 1.0, pairs: int = 25
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Seconds of two functions A and B, pair by pair: timed A B, B A, A B …, so that drifting speed affects both.

    There are at most `pairs`; once there are 5, no further one begins after `budget` seconds.
    """
    own: list[float] = []
    other: list[float] = []
    turns = [(first, own), (second, other)]
    start = perf_counter()
    while len(own) < pairs and (len(own) < 5 or perf_counter() - start < budget):
        for function, seconds in turns:
            seconds.append(timed(backend, function)[0])
        turns.reverse()
    return np.asarray(own), np.asarray(other)


def arrays_of(tree: Any) -> list[Any]:
    """All arrays of nested tuples, lists and dicts; other values are left out."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in arrays_of(value)]
    if isinstance(tree, tuple | list):
        return [leaf for value in tree for leaf in arrays_of(value)]
    return [tree] if hasattr(tree, "shape") else []
