"""What a suite is: what `rbench run NAME` runs where its options do not say otherwise."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from rbench.experiment import Cell
from rbench.run.tuned import Tuned

if TYPE_CHECKING:
    from rbench.run.request import Request

Place: TypeAlias = tuple[str, str, str | None]
"""Where a cell runs: backend, dtype and device."""


class Suite(ABC):
    """What makes cells of a request: of training as `TrainingSuite` does, of costs as `rbench.cost.CostSuite` does.

    Attributes:
        name: the registered name.
        summary: one line for `rbench list`.
        threads: of the numerical libraries for each cell; all cores if None.
        unused: fields of a request that mean nothing to it, and are refused.
    """

    unused: ClassVar[tuple[str, ...]] = ()
    name: str
    summary: str
    threads: int | None = None

    @abstractmethod
    def count(self, request: "Request") -> int:
        """How many cells a request makes at each place, at most, before any is made."""

    @abstractmethod
    def cells(self, request: "Request", places: Sequence[Place]) -> list[Cell]:
        """The cells that a request makes.

        Args:
            request: with what takes the place of the suite's own.
            places: where they are to run.

        Raises:
            PluginError, SpecError: a name or setting that does not exist.
        """

    def tuned_by(self, request: "Request", cell: Cell) -> Tuned | None:
        """The search that a cell has its settings from, if any."""
        return None

    def contents(self) -> dict[str, list[str]]:
        """What it runs, for `rbench list`."""
        return {}
