"""What the workers of a run must share for their figures to appear in one table."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter

from rbench.experiment import AnyCell, Cell
from rbench.run.cluster.worker import Introduction
from rbench.run.provenance import environment, provenance
from rbench.run.record import Record, read_records
from rbench.run.resume import ChangedError, check_same
from rbench.spec import parse

Kind: TypeAlias = tuple[str, tuple[str, ...], str, str | None]
"""Experiment, names of its parts such as method and task, backend, and device: what a cell's environment depends on."""


class Consistency:
    """Checks that workers have this rbench, can run all cells, and agree with the first worker and the records.

    Args:
        directory: the run's.
        cells: what is to run.
        keep: keys of cells whose records are not replaced, as only their peak memory is measured.
    """

    def __init__(self, directory: Path, cells: Sequence[Cell], keep: Collection[str] = ()) -> None:
        keys = {cell.key for cell in cells} - set(keep)
        self._directory = directory
        self._stay = [record for record in read_records(directory)[0] if record.cell.key not in keys]
        self._todo = _kinds(cells)
        self._there = _kinds(record.cell for record in self._stay)
        self._kinds = [*self._todo, *self._there]
        self._environments: dict[Kind, dict[str, str]] = {}
        self._data: dict[tuple[str, bool], str] = {}
        self._own_data: dict[tuple[str, bool], str] = {}
        for record in self._stay:
            self._note_data(record)

    @property
    def question(self) -> tuple[str, str]:
        """A cell of each kind that is to run, and of each that has records, as JSON."""
        text = TypeAdapter(list[AnyCell]).dump_json
        return text(list(self._todo.values())).decode(), text(list(self._there.values())).decode()

    def refusal(self, found: Introduction) -> str | None:
        """Why a worker may not take part; or None. The first accepted worker is the standard for the others."""
        known = provenance()
        here = environment(next(iter(self._todo.values())))
        mine = {"rbench": known["rbench"], "commit": known["commit"] and known["commit"]["id"]}
        theirs = {"rbench": found.rbench, "commit": found.commit}
        if found.environments:
            source = "source of rbench"
            mine[source] = here[source]
            theirs[source] = found.environments[0][source]
        wrong = [name for name in mine if mine[name] and theirs[name] and mine[name] != theirs[name]]
        if wrong:
            words = ", ".join(f"{name} {theirs[name]} where this process has {mine[name]}" for name in wrong)
            return f"it has {words}; install the same there and start the worker again"
        if found.problems:
            return "; ".join(found.problems)
        environments = dict(zip(self._kinds, found.environments, strict=True))
        if self._environments:
            return _difference(self._environments, environments)
        try:
            check_same(self._directory, self._stay, now=lambda cell: environments[_kind(cell)])
        except ChangedError as error:
            return str(error)
        self._environments = environments
        return None

    @property
    def set(self) -> bool:
        """Whether a worker was accepted."""
        return bool(self._environments)

    def environment(self, cell: Cell) -> dict[str, str]:
        """The environment that a cell has on every worker."""
        return self._environments[_kind(cell)]

    def check(self, record: Record) -> None:
        """Raise where a record was made differently than the stored ones.

        Raises:
            ChangedError: a worker's software or data changed, or differ from those of others.
        """
        check_same(self._directory, [record], self._data, now=self.environment)
        self._note_data(record)

    def checked_data(self, record: Record) -> Record:
        """A returned record, or a failure where its data are not those of the first cell that read them."""
        found = record.figures.get("dataset_sha256")
        if found is None or record.cell.data is None:
            return record
        first = self._own_data.setdefault(record.cell.data, found)
        if found == first:
            return record
        reason = (
            f"its data, sha256 {found[:16]}, are not those of the run's other cells, sha256 {first[:16]}: the task "
            "makes other data at each load, or its files differ between the workers; give it a seed of its own, or the "
            "workers the same files"
        )
        kept = {"provenance": record.provenance, "environment": record.environment, "gate": record.gate}
        return Record(cell=record.cell, status="crashed", reason=reason, **kept)

    def _note_data(self, record: Record) -> None:
        found = record.figures.get("dataset_sha256")
        if found is not None and record.cell.data is not None:
            self._data.setdefault(record.cell.data, found)


def _kind(cell: Cell) -> Kind:
    return cell.name, tuple(parse(spec)[0] for _, spec in cell.specs), cell.backend, cell.device


def _kinds(cells: Iterable[Cell]) -> dict[Kind, Cell]:
    return {_kind(cell): cell for cell in cells}


def _difference(first: dict[Kind, dict[str, str]], other: dict[Kind, dict[str, str]]) -> str | None:
    found = {
        f"{name}: {first[kind].get(name, 'none')} → {other[kind].get(name, 'none')}": None
        for kind in first
        for name in {**first[kind], **other[kind]}
        if first[kind].get(name) != other[kind].get(name)
    }
    if not found:
        return None
    return f"it differs from the worker that the run began with ({'; '.join(found)}); run on machines of one kind"
