"""Several runs as one: their records side by side, each with its own provenance."""

from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path

from rbench.bundle.contents import Bundle, read_files, read_run
from rbench.errors import RbenchError
from rbench.run.directory import WAY_OUT, check_directory, writing_into
from rbench.run.lock import locked
from rbench.run.provenance import provenance
from rbench.run.record import Record, cells_folder, write_json, write_text
from rbench.run.run_file import NAME, Planned, RunFile
from rbench.run.session import publish


def merge(sources: Sequence[Path], target: Path) -> Bundle:
    """Write the records of several runs into one directory, as they are.

    Its `run.json` plans all of their cells; under `earlier` it has each run's own request, provenance and cells, those
    of the run given last first. Running into it goes on only where all records were made as they would be now.

    Args:
        sources: directories or bundles of the runs, at least two.
        target: a directory that is new or empty.

    Raises:
        DataError: a source holds no run, or a record that is damaged or of a newer version.
        RbenchError: two hold different records of one cell, the target is not empty, or it cannot be written.
    """
    if len({source.resolve() for source in sources}) < 2:
        raise RbenchError("give at least two different directories or bundles to merge")
    check_directory(target, "run")
    if target.exists() and any(target.iterdir()):
        raise RbenchError(f"{target} is not empty; {WAY_OUT}")
    read = {source: read_files(source) for source in sources}
    runs = {source: run for source, (run, _) in read.items()}
    _check_same(runs)
    files = {name: content for _, own in read.values() for name, content in own.items()}
    with locked(target), writing_into(target):
        cells_folder(target).mkdir(exist_ok=True)
        for name, content in files.items():
            write_text(cells_folder(target) / name, content.decode())
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
            request={"merged from": str(source), **run.plan.request},
            provenance=run.plan.provenance,
            cells=tuple(dict.fromkeys([*run.plan.cells, *(record.cell.key for record in run.records)])),
            plugin_files=run.plan.all_plugin_files(),
        )
        for source, run in runs.items()
    ]
    return RunFile(
        request={"merged": [str(source) for source in runs]},
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
