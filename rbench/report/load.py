"""Records of run directories and of files of rows, and what is missing from them."""

from collections.abc import Sequence
from pathlib import Path

from rbench.bundle.contents import in_order, read_bundle
from rbench.errors import DataError
from rbench.report.row_files import read_rows
from rbench.run.reading import DamagedError, NewerError
from rbench.run.record import Record, find
from rbench.run.run_file import RunFile, read_run_file

ROWS, BUNDLE = ".csv", ".zip"
"""How the names of files of rows and of bundles end."""


def load(sources: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """All records, and warnings about cells that have not run and files that cannot be read.

    A source is the directory of a run, a bundle of `rbench bundle`, or a `.csv` of rows, as `read_rows` reads it. Rows
    do not tell the whole environment of their records, so beside other sources those of each file are in an
    environment of their own. Records of a newer version are left out, and the warning names the version.

    Raises:
        DataError: a directory holds no run, or a file no rows.
    """
    records: list[Record] = []
    warnings: list[str] = []
    files = [path for path in sources if path.suffix == ROWS and path.is_file()]
    for path in sources:
        words: list[str] = []
        if path in files:
            own = read_rows(path)
        elif path.suffix == BUNDLE and path.is_file():
            run = read_bundle(path)
            own = run.records
            words = [f"{path}: planned cells without a record: {run.missing}"] if run.missing else []
        elif path.is_file():
            raise DataError(f"{path} is no directory of a run, no {BUNDLE} of a bundle and no {ROWS} of rows")
        else:
            own, words = _load_directory(path)
        if files and len(sources) > 1:
            own = [_read_from(record, str(path) if path in files else "records") for record in own]
        records += own
        warnings += words
    return records, warnings


def _read_from(record: Record, source: str) -> Record:
    """The record in an environment that is also told apart by its source."""
    return record.model_copy(update={"environment": record.environment | {"read from": source}})


def _load_directory(directory: Path) -> tuple[list[Record], list[str]]:
    plan, unplanned = _plan(directory)
    found = find(directory)
    keys = [record.cell.key for record in found.records]
    if plan is None and not (found.records or found.newer):
        raise DataError(
            f"{directory} holds no run: there is no readable run.json{unplanned}; give the DIR of `rbench run -o DIR`"
        )
    if plan is None:
        warnings = [f"{directory}: what was planned is not known{unplanned}"]
    else:
        warnings = _missing(directory, plan, {*keys, *(path.stem for path in found.newer)})
    warnings += [f"{path} cannot be read; run it again" for path in found.damaged]
    warnings += [f"{words}: it is left out" for words in found.newer.values()]
    return in_order(plan.cells if plan else (), found.records), warnings


def _plan(directory: Path) -> tuple[RunFile | None, str]:
    """A directory's plan; where it cannot be read, None and the reason, as the end of a sentence."""
    try:
        return read_run_file(directory), ""
    except FileNotFoundError:
        return None, ""
    except (DamagedError, NewerError) as error:
        return None, f" ({error})"


def _missing(directory: Path, plan: RunFile, there: set[str]) -> list[str]:
    """A warning about cells without a record, of the last request and of earlier ones."""
    own, before = plan.missing(there)
    if not own and not before:
        return []
    planned = len({*plan.cells, *(key for one in plan.earlier for key in one.cells)})
    words = f"{directory}: {len(own) + len(before)} of {planned} cells have no record; run it again to finish them"
    if before:
        words += f"; {len(before)} of them are of earlier requests, which run.json holds under `earlier`"
    return [words]
