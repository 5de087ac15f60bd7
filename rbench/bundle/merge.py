"""Several runs as one: their records side by side, each with its own provenance."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

from rbench.bundle.contents import Bundle, read_run
from rbench.errors import RbenchError
from rbench.run.directory import WAY_OUT, check_directory, writing_into
from rbench.run.lock import locked
from rbench.run.provenance import provenance
from rbench.run.reading import read_bytes
from rbench.run.record import Record, cells_folder, record_files, write_json, write_text
from rbench.run.run_file import NAME, Planned, RunFile
from rbench.run.session import publish


def merge(directories: Sequence[Path], target: Path) -> Bundle:
    """Write the records of several runs into one directory, as they are.

    Its `run.json` plans all of their cells; under `earlier` it has each run's own request, provenance and cells, those
    of the run given last first. Running into it goes on only where all records were made as they would be now.

    Args:
        directories: of the runs, at least two.
        target: a directory that is new or empty.

    Raises:
        DataError: one holds no run, or a record that is damaged or of a newer version.
        RbenchError: two hold different records of one cell, the target is not empty, or it cannot be written.
    """
    if len({directory.resolve() for directory in directories}) < 2:
        raise RbenchError("give at least two different directories to merge")
    check_directory(target, "run")
    if target.exists() and any(target.iterdir()):
        raise RbenchError(f"{target} is not empty; {WAY_OUT}")
    runs = {directory: read_run(directory) for directory in directories}
    _check_same(runs)
    files = {path.name: path for directory in directories for path in record_files(directory)}
    with locked(target), writing_into(target):
        cells_folder(target).mkdir(exist_ok=True)
        for name, path in files.items():
            write_text(cells_folder(target) / name, read_bytes(path).decode())
        plan = _plan(runs)
        write_json(target / NAME, plan.model_dump())
        merged = read_run(target)
        publish(target, [record.cell for record in merged.records])
    return merged


def _plan(runs: dict[Path, Bundle]) -> RunFile:
    """The plan of merged runs."""
    plans = [one for run in runs.values() for one in (run.plan, *run.plan.earlier)]
    records = (record.cell.key for run in runs.values() for record in run.records)
    parts = [
        Planned(
            request={"merged from": str(directory), **run.plan.request},
            provenance=run.plan.provenance,
            cells=tuple(dict.fromkeys([*run.plan.cells, *(record.cell.key for record in run.records)])),
        )
        for directory, run in runs.items()
    ]
    return RunFile(
        request={"merged": [str(directory) for directory in runs]},
        provenance=provenance(),
        cells=tuple(dict.fromkeys([*(key for plan in plans for key in plan.cells), *records])),
        earlier=tuple(reversed(parts)),
    )


def _check_same(runs: dict[Path, Bundle]) -> None:
    """Raise where two runs have different records of a cell."""
    for (first, one), (second, other) in combinations(runs.items(), 2):
        known = {record.cell.key: record for record in one.records}
        unlike = [record for record in other.records if known.get(record.cell.key, record) != record]
        if unlike:
            names = "; ".join(f"{record.cell.title} ({record.cell.key})" for record in unlike[:5])
            more = f"; and {len(unlike) - 5} more" if len(unlike) > 5 else ""
            raise RbenchError(
                f"{first} and {second} have different records of {len(unlike)} cells: {names}{more}; remove one of the "
                "two records of each, or show both runs beside each other: `rbench table A B`"
            )


def environments_differ(records: Iterable[Record]) -> list[str]:
    """Facts of environments in which records differ, each with its values, such as `cpu: A, B`."""
    values: dict[str, dict[str, None]] = {}
    for record in records:
        for name, value in record.environment.items():
            values.setdefault(name, {})[value] = None
    return [f"{name}: {', '.join(found)}" for name, found in values.items() if len(found) > 1]
