"""A run: the cells of a request into a directory, resuming what is there."""

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rbench.errors import RbenchError, SpecError
from rbench.losses import get_loss
from rbench.methods import Problem
from rbench.plugins import get_backend
from rbench.run.cell import Cell
from rbench.run.executor import LocalExecutor
from rbench.run.gate import Gate, gate
from rbench.run.provenance import provenance
from rbench.run.record import FINAL, Record, cells_folder, read_record, write_json, write_record
from rbench.run.request import Request


class Display(Protocol):
    """Shows how a run goes on."""

    def start(self, cells: int, kept: int) -> None:
        """Called once, with the number of cells to run, and of those that an earlier run left."""

    def step(self, cell: Cell, done: int, total: int) -> None:
        """Called from any thread while a cell trains."""

    def gate(self, gate: Gate) -> None:
        """Called when the equivalence cases of a backend have run."""

    def end(self, record: Record) -> None:
        """Called when a cell has its record."""


@dataclass(frozen=True)
class Run:
    """A run's records, in the order of its cells.

    Attributes:
        directory: where they are stored.
        records: one a cell.
    """

    directory: Path
    records: list[Record]

    @property
    def ok(self) -> bool:
        """Whether every cell ended `ok`."""
        return all(record.status == "ok" for record in self.records)


def run(
    request: Request,
    directory: Path,
    display: Display,
    *,
    timeout: float | None = None,
    force: bool = False,
) -> Run:
    """Run what is not yet in `directory`.

    Args:
        request: what to run.
        directory: the run's directory, made where it is not there.
        display: told how the run goes on.
        timeout: seconds a cell, or None.
        force: run all cells again.

    Raises:
        RbenchError: what is asked for cannot be run; nothing has been started.
    """
    cells = request.cells()
    check(cells)
    for cell in {cell.task: cell for cell in cells}.values():
        cell.make_task().dataset(cell.unofficial_data)  # fetched and checked once, before the cells need it
    found = {cell.key: None if force else read_record(directory, cell) for cell in cells}
    kept = {key: record for key, record in found.items() if record is not None and record.status in FINAL}
    todo = [cell for cell in cells if cell.key not in kept]
    display.start(len(todo), len(kept))
    gates = _gates(todo, display)
    try:
        cells_folder(directory).mkdir(parents=True, exist_ok=True)
        write_json(
            directory / "run.json",
            {"request": request.model_dump(), "provenance": provenance(), "cells": [cell.key for cell in cells]},
        )
    except OSError as error:
        raise RbenchError(f"cannot run into {directory}: {error.strerror}; name another directory with -o") from None
    executor = LocalExecutor(directory, jobs=request.jobs, timeout=timeout, progress=display.step)
    records: dict[str, Record] = dict(kept)
    # Closed at once when a display is interrupted, so that no further cell starts.
    with closing(_records(directory, executor, [(cell, gates[_place(cell)]) for cell in todo])) as ended:
        for record in ended:
            records[record.cell.key] = record
            display.end(record)
    return Run(directory, [records[cell.key] for cell in cells])


def _place(cell: Cell) -> tuple[str, str, str | None]:
    """What a gate is for."""
    return cell.backend, cell.dtype, cell.device


def _gates(cells: Sequence[Cell], display: Display) -> dict[tuple[str, str, str | None], Gate]:
    found = {}
    for place, cell in {_place(cell): cell for cell in cells}.items():
        found[place] = gate(*place, threads=cell.threads)
        display.gate(found[place])
    return found


def _records(directory: Path, executor: LocalExecutor, cells: Sequence[tuple[Cell, Gate]]) -> Generator[Record]:
    """The records of all cells as they end; a backend that failed its gate is not timed."""
    for cell, found in cells:
        if not found.passed:
            record = Record(cell=cell, status="skipped", reason=f"not timed: {found}", gate=found)
            write_record(directory, record)
            yield record
    with closing(executor.run([(cell, found) for cell, found in cells if found.passed])) as ended:
        yield from ended


def check(cells: Sequence[Cell]) -> None:
    """Raise for methods that cannot train on their task, before any cell runs.

    Raises:
        SpecError: the message names the method, the task and the reason.
    """
    for cell in {(cell.task, cell.method): cell for cell in cells}.values():
        task, method = cell.make_task(), cell.make_method()
        try:
            # On NumPy, whatever the cell's backend: a framework takes seconds to import.
            method.check(Problem(get_backend("numpy"), task.network(), get_loss(task.loss)))
        except RbenchError as error:
            raise SpecError(
                f"{cell.method} on {cell.task}: {error}; name other methods with --method or other tasks with --task"
            ) from None
