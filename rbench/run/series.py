"""Series: cells that run one after the other, each of which may end the series."""

from collections.abc import Hashable, Mapping, Sequence

from rbench.experiment import Cell
from rbench.run.record import Record


class Series:
    """The order within every series of a run's cells.

    Args:
        cells: all cells of the run, in order.
        ended: the records so far, by cell key.
    """

    def __init__(self, cells: Sequence[Cell], ended: Mapping[str, Record]) -> None:
        self._before: dict[str, Cell] = {}
        self._ended = dict(ended)
        self._stopped: dict[str, str] = {}
        last: dict[Hashable, Cell] = {}
        for cell in cells:
            if cell.series is not None:
                place = cell.name, cell.suite, cell.series
                if place in last:
                    self._before[cell.key] = last[place]
                last[place] = cell

    def note(self, record: Record) -> None:
        """Note that a cell has ended."""
        self._ended[record.cell.key] = record

    def is_ready(self, cell: Cell) -> bool:
        """Whether the cell before it in its series has ended, if there is one."""
        before = self._before.get(cell.key)
        return before is None or before.key in self._ended

    def refusal(self, cell: Cell) -> str | None:
        """Why a cell must not run, by how those before it in its series ended; None where it may."""
        before = self._before.get(cell.key)
        if before is None:
            return None
        record = self._ended[before.key]
        reason = self._stopped.get(before.key)
        reason = reason or before.end_of_series(record.status, record.reason, record.figures)
        if reason is not None:
            self._stopped[cell.key] = reason
        return reason
