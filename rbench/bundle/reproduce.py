"""The cells of a bundle, run again here."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rbench.bundle.contents import Bundle
from rbench.errors import RbenchError
from rbench.experiment import Cell
from rbench.plugins import find_backend, plugins
from rbench.run.display import Display
from rbench.run.executor import Executor
from rbench.run.machine import CellLimits
from rbench.run.record import Record
from rbench.run.resume import changed
from rbench.run.session import run_cells
from rbench.spec import parse


class Runnable(NamedTuple):
    """Which records of a bundle can be made again here.

    Attributes:
        records: those that can.
        left_out: why others cannot, with their number.
    """

    records: list[Record]
    left_out: dict[str, int]

    @property
    def cells(self) -> list[Cell]:
        """What to run."""
        return [record.cell for record in self.records]

    def changes(self) -> list[str]:
        """What differs here from where the records were made, each as `name: then → now`."""
        return list(dict.fromkeys(one for record in self.records for one in changed(record, {})))


def runnable(bundle: Bundle) -> Runnable:
    """The records of a bundle whose backend, device and plugins are here."""
    why = {record.cell.key: _why_not(record.cell) for record in bundle.records}
    records = [record for record in bundle.records if not why[record.cell.key]]
    return Runnable(records, dict(Counter(words for words in why.values() if words)))


def reproduce(
    found: Runnable, file: Path, directory: Path, display: Display, executor: Executor, limits: CellLimits
) -> list[Record]:
    """Run the same cells, with exactly their settings, and return their records; resumes as any run.

    Args:
        found: what can be run.
        file: the bundle, for `run.json`.
        directory: the run's directory, made if absent.
        display: shows the run's progress.
        executor: runs the cells.
        limits: of every cell.

    Raises:
        RbenchError: no cell can be run here, or one that could not be foreseen; see `run_cells`.
    """
    if not found.records:
        raise RbenchError(f"{file}: nothing of it can be run here: {'; '.join(found.left_out)}")
    request = {"reproduces": str(file)}
    return run_cells(found.cells, directory, display, request=request, executor=executor, limits=limits)


def ended_differently(before: Sequence[Record], after: Sequence[Record]) -> list[str]:
    """Cells whose status is not what it was, each with both."""
    now = {record.cell.key: record.status for record in after}
    pairs = [(record, now.get(record.cell.key, "missing")) for record in before]
    return [f"{one.cell.title}: {one.status} then, {status} now" for one, status in pairs if status != one.status]


def _why_not(cell: Cell) -> str:
    """Why a cell cannot be run here; empty if it can."""
    try:
        find_backend(cell.backend, cell.dtype, cell.device)
        for kind, spec in cell.specs:
            plugins().find(kind, parse(spec)[0])
    except RbenchError as error:
        return str(error)
    return ""
