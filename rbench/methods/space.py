"""Search spaces: which settings of a method `rbench tune` varies, and over which values."""

from dataclasses import dataclass
from typing import Any, TypeAlias

from rbench.errors import SpecError

DIGITS = 3
"""Significant digits that are kept of a number, so that a SPEC stays readable."""


@dataclass(frozen=True)
class LogUniform:
    """A number whose logarithm is uniform between two bounds.

    Raises:
        SpecError: the bounds are not 0 < low < high, or not finite.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < float("inf"):
            raise SpecError(f"LogUniform({self.low}, {self.high}): give bounds with 0 < low < high, both finite")

    def __str__(self) -> str:
        return f"log {self.low:g}..{self.high:g}"

    def setting(self, drawn: float) -> float:
        """The setting for a number drawn between the bounds: the number to three digits."""
        return min(max(float(f"{drawn:.{DIGITS}g}"), self.low), self.high)


@dataclass(frozen=True, init=False)
class Choice:
    """One of some values that a SPEC can hold, numbers, words, booleans or None, each as likely as the others.

    Raises:
        SpecError: fewer than two values.
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        if len(values) < 2:
            raise SpecError(f"Choice{values}: give two values or more; a setting with one value needs no search")
        object.__setattr__(self, "values", values)

    def __str__(self) -> str:
        return " | ".join(f"{value:g}" if isinstance(value, float) else str(value).lower() for value in self.values)

    def setting(self, drawn: int) -> Any:
        """The value with a drawn index."""
        return self.values[drawn]


Dimension: TypeAlias = LogUniform | Choice
