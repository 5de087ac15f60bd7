"""Statements of the paper, and how each is held against a computation."""

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

from rbench.backend import Backend
from rbench.spec import Configurable
from rbench.theory.suite import Kinds


class Found(NamedTuple):
    """What a computation found.

    Attributes:
        measured: the number that it found.
        predicted: the number that the statement says.
        control: the number found where a condition is broken; None for no control.
    """

    measured: float
    predicted: float = 0.0
    control: float | None = None

    @property
    def error(self) -> float:
        """|measured − predicted|, over |predicted| where that is not zero."""
        return abs(self.measured - self.predicted) / (abs(self.predicted) or 1.0)


class Statement(Configurable):
    """A statement and how it is checked.

    Attributes:
        of: tasks that it is about.
        allowed: the largest error with which it holds.
    """

    of: ClassVar[Kinds]
    allowed: ClassVar[float]

    @abstractmethod
    def find(self, task: Any, backend: Backend, seed: int) -> Found:
        """Compute what it says."""

    def refuses(self, task: Any) -> str | None:
        """Why it says nothing about a task; None where it does."""
        kinds = [kind.name for kind in self.of]
        return None if isinstance(task, self.of) else f"is about {' and '.join(kinds)}"
