"""The runs of a page: records, the trials of a tune, and when they were written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rbench.errors import DataError
from rbench.report.load import load
from rbench.run.directory import STAGES
from rbench.run.record import Record, record_files


@dataclass(frozen=True)
class ReportedRun:
    """A run of a page.

    Attributes:
        name: what tells it from the others of the page.
        records: its records, in the order of its plan.
        trials: records of the trials of `rbench tune`, where it is a tune's directory.
        warnings: what is missing or cannot be read.
        written: when its latest record was written, in UTC; None for no record.
    """

    name: str
    records: list[Record]
    trials: list[Record]
    warnings: list[str]
    written: datetime | None


def read_runs(directories: Sequence[Path]) -> list[ReportedRun]:
    """The runs of directories, bundles and files of rows.

    Raises:
        DataError: as `load`, or there is no record in any.
    """
    runs = [_read(directory, name) for directory, name in zip(directories, _names(directories), strict=True)]
    if not any(run.records or run.trials for run in runs):
        raise DataError(
            f"nothing to report: no cell of {', '.join(map(str, directories))} has a record yet; let `rbench run` end "
            "one first"
        )
    return runs


def _read(directory: Path, name: str) -> ReportedRun:
    folder = directory / STAGES[0]
    tried = not directory.is_file() and bool(record_files(folder))
    # A tune may be under way: its trials are there before any record of its own.
    records, warnings = load([directory]) if not tried or record_files(directory) else ([], [])
    trials, more = load([folder]) if tried else ([], [])
    files = [] if directory.is_file() else [*record_files(directory), *record_files(folder)]
    newest = max((path.stat().st_mtime for path in files if path.is_file()), default=None)
    written = None if newest is None else datetime.fromtimestamp(newest, UTC)
    return ReportedRun(name, records, trials, [*warnings, *more], written)


def _names(directories: Sequence[Path]) -> list[str]:
    """As few of the last parts of each path as tell all apart."""
    paths = [directory.resolve() for directory in directories]
    for count in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names
