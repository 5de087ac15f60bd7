"""The records that a run finds in its directory, and those that it stores there."""

from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from rbench.errors import RbenchError
from rbench.experiment import Cell
from rbench.run.directory import WAY_OUT, newer_records, remove_halves
from rbench.run.provenance import environment
from rbench.run.reading import set_aside
from rbench.run.record import Record, cells_folder, find, write_record

Data: TypeAlias = Mapping[tuple[str, bool], str]
"""Fingerprints of data sets, by the task's SPEC and whether unofficial data are taken."""


class ChangedError(RbenchError):
    """Records were made with other software, on other hardware or from other data than now."""


def find_records(directory: Path, warn: Callable[[str], None]) -> dict[str, Record]:
    """The records of a directory, by their cells' keys.

    A damaged one is renamed to `KEY.json.damaged` with a warning; partial files of a killed run are removed.

    Raises:
        NewerError: some are of a newer version; they stay as they are.
        DataError: they cannot be read.
    """
    for folder in (directory, cells_folder(directory)):
        remove_halves(folder)
    records, damaged, newer = find(directory)
    if newer:
        raise newer_records(newer)
    for path in damaged:
        try:
            words = f"it is now {set_aside(path).name}, and its cell is run again where it is asked for"
        except OSError as error:
            words = f"and cannot be set aside: {error.strerror}; remove it"
        warn(f"{path} is damaged: {words}")
    return {record.cell.key: record for record in records}


def check_same(
    directory: Path,
    records: Iterable[Record],
    data: Data | None = None,
    now: Callable[[Cell], dict[str, str]] | None = None,
) -> None:
    """Raise where records were made differently than they would be now.

    Args:
        directory: for the message.
        records: those in it, or to be stored in it.
        data: fingerprints of data sets, as far as they are known.
        now: the environment of a cell; that of this process if None.

    Raises:
        ChangedError: the message says what changed, from what to what.
    """
    changes = [found for record in records if (found := changed(record, data or {}, now or environment))]
    if changes:
        raise ChangedError(
            f"{directory}: records were made differently than they would be now: {len(changes)} "
            f"({'; '.join(dict.fromkeys(chain(*changes)))}); no table should mix them: {WAY_OUT}"
        )


def changed(record: Record, data: Data, now: Callable[[Cell], dict[str, str]] = environment) -> list[str]:
    """What differs between a record's environment and data and those of now, each as `name: then → now`."""
    before = dict(record.environment)
    after = now(record.cell)
    sums = record.figures.get("dataset_sha256"), record.cell.data and data.get(record.cell.data)
    if all(sums):
        before["data"], after["data"] = (f"sha256 {one[:16]}" for one in sums if one)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return [f"{name}: {before.get(name, 'none')} → {after.get(name, 'none')}" for name in names]


def stored(directory: Path, record: Record) -> Record:
    """Store and return a record; where that fails, as on a full disk, return one that says so."""
    try:
        write_record(directory, record)
    except OSError as error:
        reason = f"its record could not be stored: {error.strerror}"
        return Record(cell=record.cell, status="crashed", reason=reason, environment=record.environment)
    return record
