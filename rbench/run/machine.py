"""The machine of this process: gates of its backends, data and peaks found once, and cells run behind them."""

import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from pydantic import BaseModel

from rbench.experiment import Cell
from rbench.run.data import Found, Wanted, find_data, wanted
from rbench.run.gate import Gate, gate
from rbench.run.isolate import Progress, run_isolated
from rbench.run.memory_pass import with_memory
from rbench.run.provenance import environment
from rbench.run.record import Record, refused
from rbench.run.suite import Platform
from rbench.train.memory import Peaks


class CellLimits(BaseModel):
    """Limits of every cell of a run.

    Attributes:
        timeout: seconds for each of its processes, or None.
        memory_limit: bytes that each may hold resident, or None; see `run_child`.
        memory_pass: whether its peak memory is measured.
    """

    timeout: float | None = None
    memory_limit: int | None = None
    memory_pass: bool = True


class Machine:
    """Runs cells in isolation on this machine, each behind the gate of its backend and once its data are found.

    Args:
        limits: of every cell.
    """

    def __init__(self, limits: CellLimits) -> None:
        self._limits = limits
        self._gates: dict[Platform, Gate] = {}
        self._wanted: dict[str, Wanted] = {}
        self._data: dict[Wanted, Found] = {}
        self._peaks: dict[str, Peaks] = {}

    def find_data(self, cells: Sequence[Cell], stop: threading.Event | None = None) -> dict[str, Found]:
        """Find and check the data of cells, by the cells' keys; those found before are not read again.

        Raises:
            DataError, SpecError: as `rbench.run.data.find_data`.
            Stopped: `stop` was set.
        """
        self._wanted = wanted(cells) | self._wanted
        asked = {cell.key: self._wanted[cell.key] for cell in cells if cell.key in self._wanted}
        missing = [one for one in dict.fromkeys(asked.values()) if one not in self._data]
        limits = self._limits
        self._data |= find_data(missing, timeout=limits.timeout, memory_limit=limits.memory_limit, stop=stop)
        return {key: self._data[one] for key, one in asked.items()}

    def forget_failures(self) -> None:
        """Forget data that could not be loaded, which may end differently for another cell."""
        self._data = {one: found for one, found in self._data.items() if found.status is None}

    def gate(self, cell: Cell, stop: threading.Event | None = None) -> Gate:
        """The equivalence gate of a cell's backend, computed once.

        Raises:
            BackendError: the backend cannot run here.
            Stopped: `stop` was set.
        """
        platform = cell.backend, cell.dtype, cell.device
        if platform not in self._gates:
            self._gates[platform] = gate(*platform, threads=cell.threads, stop=stop)
        return self._gates[platform]

    def run(self, cell: Cell, folder: Path, progress: Progress, stop: threading.Event) -> Record:
        """Run a cell, unless its data cannot be loaded or its backend fails the gate.

        Args:
            cell: what to run.
            folder: for the output of its process, as `run_isolated` says.
            progress: called with the cell, the steps done and the steps to do.
            stop: ends it when set.

        Raises:
            BackendError, DataError, SpecError: as `gate` and `find_data`.
            Stopped: `stop` was set.
        """
        data = self.find_data([cell], stop).get(cell.key, Found())
        if data.status is not None:
            return Record(cell=cell, status=data.status, reason=data.reason, environment=environment(cell))
        passed = self.gate(cell, stop)
        if not passed.passed:
            return refused(cell, f"not timed: {passed}", passed, environment(cell))
        began = monotonic()
        record = run_isolated(
            cell,
            passed,
            folder,
            timeout=self._limits.timeout,
            memory_limit=self._limits.memory_limit,
            checksum=data.checksum or None,
            peaks=self._peaks if self._limits.memory_pass else None,
            progress=progress,
            stop=stop,
        )
        return record.model_copy(update={"wall_seconds": monotonic() - began})

    def measure_memory(self, record: Record, stop: threading.Event) -> Record:
        """The record with its cell's peak memory, as `with_memory` says."""
        limits = self._limits
        return with_memory(record, self._peaks, timeout=limits.timeout, memory_limit=limits.memory_limit, stop=stop)
