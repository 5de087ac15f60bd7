"""A figure in a table: a number with its interval and mark, as text that every form writes in its own way."""

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Self

LONGEST_REASON = 32
"""Characters of a failure's reason in a table; the whole reason is in a note."""


@dataclass(frozen=True)
class Value:
    """A number in a table.

    Attributes:
        middle: the number as text.
        low: the lower end of its interval; empty where both ends are written as one.
        high: the upper end.
        mark: what stands before it, such as `*` for the best.
    """

    middle: str
    low: str = ""
    high: str = ""
    mark: str = ""

    @classmethod
    def of(cls, middle: float, low: float, high: float, write: Callable[[float], str]) -> Self:
        """A number with the ends of its interval, where these are written differently."""
        ends = write(low), write(high)
        return cls(write(middle)) if ends[0] == ends[1] else cls(write(middle), *ends)

    def marked(self, mark: str) -> Self:
        """The same with a mark."""
        return replace(self, mark=mark)

    def alone(self) -> Self:
        """The same without its interval."""
        return replace(self, low="", high="")

    def __str__(self) -> str:
        interval = f" ({self.low}–{self.high})" if self.low else ""
        return f"{self.mark}{self.middle}{interval}"

    @property
    def number(self) -> float:
        """The number that is written; infinite for `never`."""
        try:
            return float(self.middle.replace(",", ""))
        except ValueError:
            return math.inf

    def latex(self) -> str:
        r"""In LaTeX: the best in bold, an interval as ± or as sub- and superscript where its ends are unlike."""
        text = self._scripted() or str(replace(self, mark=""))
        if self.mark == "*":
            return rf"{{\bfseries\boldmath {text}}}"
        return rf"\textasciitilde {text}" if self.mark == "~" else f"{self.mark}{text}"

    def _scripted(self) -> str:
        """The number in mathematics; empty where that cannot be, as with `never`."""
        try:
            middle, low, high = (Decimal(text) for text in (self.middle, self.low or "0", self.high or "0"))
        except InvalidOperation:
            return ""
        if not (middle.is_finite() and low.is_finite() and high.is_finite()):
            return ""
        if not self.low:
            return f"${_power(self.middle)}$"
        if "e" in self.middle + self.low + self.high:
            return rf"${_power(self.middle)}$ (${_power(self.low)}$–${_power(self.high)}$)"
        down, up = middle - low, high - middle
        if down == up:
            return rf"${self.middle} \pm {up:f}$"
        return f"${self.middle}_{{-{down:f}}}^{{+{up:f}}}$"


def _power(text: str) -> str:
    number, e, power = text.partition("e")
    return rf"{number} \times 10^{{{int(power)}}}" if e else number


def aligned(cells: Sequence[Value | str]) -> list[str]:
    """Cells as text of one width, decimal points below each other, and intervals too; words stand to the right."""
    parts = [_parts(cell) if isinstance(cell, Value) else ["", "", ""] for cell in cells]
    before, after, interval = (max((len(part[at]) for part in parts), default=0) for at in range(3))
    width = max(before + after + interval, *(len(cell) for cell in cells if isinstance(cell, str)), 0)
    texts = [
        f"{part[0]:>{before}}{part[1]:<{after}}{part[2]:<{interval}}" if isinstance(cell, Value) else cell
        for cell, part in zip(cells, parts, strict=True)
    ]
    return [f"{text:>{width}}" for text in texts]


def _parts(value: Value) -> list[str]:
    """What stands before the decimal point, the rest of the number, and the interval."""
    whole, point, rest = value.middle.partition(".")
    return [f"{value.mark}{whole}", f"{point}{rest}", f" ({value.low}–{value.high})" if value.low else ""]


def shortened(reason: str) -> str:
    """The first words of a reason."""
    short = textwrap.shorten(reason, LONGEST_REASON, placeholder="…")
    return short if short != "…" else f"{reason.strip()[: LONGEST_REASON - 1]}…"
