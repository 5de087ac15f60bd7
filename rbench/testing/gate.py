"""The equivalence gate: whether a backend computes the same mathematics as a dense float64 oracle."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rbench.backend import Backend
from rbench.losses.dense import Numbers
from rbench.testing.case import Arrays, Case


@dataclass(frozen=True)
class Result:
    """The result of a case on a backend.

    Attributes:
        case: the case.
        backend: the backend's name.
        device: its device.
        dtype: its floating dtype.
        error: the relative error; infinite where shapes or dtypes differ, where NaN is unexpected or missing, and where
            the case raised.
        message: why the error is infinite, if known; else empty.
    """

    case: Case
    backend: str
    device: str
    dtype: str
    error: float
    message: str = ""

    @property
    def tolerance(self) -> float:
        """The largest error that passes."""
        return self.case.tolerance[self.dtype]

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        """The case, the error and the tolerance in one line."""
        where = f"{self.backend} ({self.device}, {self.dtype})"
        words = f"{self.case} on {where}: relative error {self.error:.3g}, tolerance {self.tolerance:g}"
        return f"{words}; {self.message}" if self.message else words


def verify(backend: Backend, cases: Sequence[Case], progress: Callable[[int, int], None] | None = None) -> list[Result]:
    """Compute every case on a backend; one that raises fails with its message, and the others go on.

    Args:
        backend: the backend to judge.
        cases: `rbench.testing.cases()`, or some of them.
        progress: called after every case with the cases done and the cases to do.
    """
    results = []
    for done, case in enumerate(cases, start=1):
        results.append(_result(backend, case))
        if progress is not None:
            progress(done, len(cases))
    return results


def _result(backend: Backend, case: Case) -> Result:
    error = math.inf
    message = ""
    try:
        with backend.inference(), warnings.catch_warnings():
            # OpenBLAS raises the flag from lanes that no result uses; wrong numbers are detected below.
            warnings.filterwarnings("ignore", "invalid value encountered in matmul", RuntimeWarning)
            found = case.compute(backend)
        message = _difference_in_kind(found, case.expected, backend.dtype)
        if not message:
            error = relative_error(found, case.expected)
    except Exception as raised:
        message = f"{type(raised).__name__}: {raised}"
    return Result(case, backend.name, backend.device, backend.dtype, error, message)


def _difference_in_kind(found: Arrays, expected: Arrays, dtype: str) -> str:
    """What is wrong with the arrays apart from their numbers; empty if nothing."""
    if len(found) != len(expected):
        return f"{len(found)} arrays instead of {len(expected)}"
    for index, (one, other) in enumerate(zip(found, expected, strict=True)):
        if one.shape != other.shape:
            return f"array {index} has shape {one.shape} instead of {other.shape}"
        floating = other.dtype.kind == "f"
        fits = one.dtype == dtype if floating else one.dtype.kind == other.dtype.kind
        if not fits:
            return f"array {index} has dtype {one.dtype} instead of {dtype if floating else other.dtype}"
        if not np.array_equal(np.isnan(one), np.isnan(other)):
            return f"array {index} has NaN in other places than it should"
    return ""


def relative_error(found: Arrays, expected: Arrays) -> float:
    """The largest ‖found − expected‖ / ‖expected‖ (Frobenius) over the arrays; 0 where there are none.

    Infinite where the count or a shape differs, where NaN does not stand in the same places, where an infinite number
    is not the expected one, and where zeros are expected but not found.
    """
    if len(found) != len(expected):
        return math.inf
    return max((_error(one, other) for one, other in zip(found, expected, strict=True)), default=0.0)


def _error(found: Numbers, expected: Numbers) -> float:
    one = np.asarray(found, np.float64)
    other = np.asarray(expected, np.float64)
    if one.shape != other.shape or not np.array_equal(np.isnan(one), np.isnan(other)):
        return math.inf
    differs = ~((one == other) | np.isnan(other))
    if not differs.any():
        return 0.0
    if not (np.isfinite(one) & np.isfinite(other))[differs].all():
        return math.inf
    size = float(np.linalg.norm(other[np.isfinite(other)]))
    return float(np.linalg.norm((one - other)[differs])) / size if size else math.inf
