"""Cases of the equivalence gate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from rbench.backend import Array, Backend
from rbench.losses import Loss
from rbench.losses.dense import Numbers
from rbench.modules import Params

Arrays: TypeAlias = Sequence[Numbers]
"""The NumPy arrays that a case computes, in its own order."""

TOLERANCE: Mapping[str, float] = {"float64": 1e-10, "float32": 1e-3}
"""Largest relative error of every array, by dtype."""


@dataclass(frozen=True, eq=False)
class Case:
    """One computation, on a backend and by the oracle.

    Attributes:
        check: the row of the table that it belongs to, such as `solver gram`.
        name: what exactly it computes; check and name together are unique.
        compute: the computation on a backend, brought to the host by `Backend.to_numpy`. Floating arrays are in the
            backend's dtype.
        expect: the same by the oracle in float64, whatever the backend and its dtype.
        tolerance: largest relative error, by dtype.
        why: the reason for a tolerance that is not the default.
    """

    check: str
    name: str
    compute: Callable[[Backend], Arrays]
    expect: Callable[[], Arrays]
    tolerance: Mapping[str, float] = field(default_factory=lambda: TOLERANCE)
    why: str = ""

    @cached_property
    def expected(self) -> Arrays:
        """What `expect` gives, computed once."""
        return self.expect()

    def __str__(self) -> str:
        return f"{self.check}: {self.name}"


def array_case(
    check: str,
    name: str,
    function: Callable[..., Any],
    *expected: Numbers,
    given: Sequence[Any] = (),
    tolerance: Mapping[str, float] = TOLERANCE,
    why: str = "",
) -> Case:
    """A case of a function of the backend and of `given` as native arrays, which returns an array or a list of them."""

    def compute(backend: Backend) -> Arrays:
        found = function(backend, *map(backend.asarray, given))
        return [backend.to_numpy(array) for array in (found if isinstance(found, list) else [found])]

    return Case(check, name, compute, lambda: expected, tolerance, why)


def native(backend: Backend, params: Params) -> Params:
    """NumPy parameters as native ones."""
    return tuple({key: backend.asarray(array) for key, array in block.items()} for block in params)


def native_targets(backend: Backend, loss: Loss, y: Numbers) -> Array:
    """NumPy targets of a loss as native ones."""
    return backend.labels(y) if loss.integer_targets else backend.asarray(y)


def on_host(backend: Backend, params: Params) -> Arrays:
    """A backend's parameters, or arrays in their structure, as one flat array per layer in its dtype."""
    blocks = [{key: backend.to_numpy(array) for key, array in block.items()} for block in params]
    return [np.concatenate([block[key].ravel() for key in ("weight", "bias") if key in block]) for block in blocks]
