"""Suites: what `rbench run NAME` runs unless its options say otherwise."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from rbench.experiment import Cell
from rbench.run.tuned import Tuned

if TYPE_CHECKING:
    from rbench.run.request import Request

Platform: TypeAlias = tuple[str, str, str | None]
"""What a cell runs on: backend, dtype and device."""


class Suite(ABC):
    """Makes the cells of a request: `TrainingSuite` those that train, `rbench.cost.CostSuite` those that measure costs.

    Attributes:
        name: the registered name.
        summary: one line for `rbench list`.
        threads: of the numerical libraries for each cell; all cores if None.
        dtype: the one dtype that its cells are in; None where a request chooses.
        labels: what tables call methods that have all the settings of a SPEC, by that SPEC; of several that fit, that
            with the most settings counts.
        unused: fields of a request that mean nothing to it, and are refused.
    """

    unused: ClassVar[tuple[str, ...]] = ("points",)
    name: str
    summary: str
    threads: int | None = None
    dtype: str | None = None
    labels: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def count(self, request: "Request") -> int:
        """The most cells that a request makes per platform, without making them."""

    @abstractmethod
    def cells(self, request: "Request", platforms: Sequence[Platform]) -> list[Cell]:
        """The cells that a request makes.

        Args:
            request: its fields replace the suite's own.
            platforms: what they are to run on.

        Raises:
            PluginError, SpecError: a name or setting that does not exist.
        """

    def tuned_by(self, request: "Request", cell: Cell) -> Tuned | None:
        """The search that found a cell's settings, if any."""
        return None

    def contents(self) -> dict[str, list[str]]:
        """What it runs, for `rbench list`."""
        return {}
