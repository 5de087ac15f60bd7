"""Records of run directories, and what is missing from them."""

from pathlib import Path

from rbench.errors import DataError
from rbench.run.reading import DamagedError, NewerError
from rbench.run.record import Record, find
from rbench.run.run_file import RunFile, read_run_file


def load(directories: list[Path]) -> tuple[list[Record], list[str]]:
    """All records, and warnings about cells that have not run and files that cannot be read.

    Records of a newer version are left out, and the warning names the version.

    Raises:
        DataError: a directory holds no run.
    """
    records: list[Record] = []
    warnings: list[str] = []
    for directory in directories:
        plan, unplanned = _plan(directory)
        found = find(directory)
        keys = [record.cell.key for record in found.records]
        if plan is None and not (found.records or found.newer):
            raise DataError(
                f"{directory} holds no run: there is no readable run.json{unplanned}; give the DIR of "
                "`rbench run -o DIR`"
            )
        if plan is None:
            warnings.append(f"{directory}: what was planned is not known{unplanned}")
        else:
            warnings += _missing(directory, plan, {*keys, *(path.stem for path in found.newer)})
        warnings += [f"{path} cannot be read; run it again" for path in found.damaged]
        warnings += [f"{words}: it is left out" for words in found.newer.values()]
        # In the order of the plan; cells of an earlier request into the same directory come after it.
        place = {key: index for index, key in enumerate(plan.cells if plan else ())}
        ordered = sorted(zip(keys, found.records, strict=True), key=lambda pair: place.get(pair[0], len(place)))
        records += [record for _, record in ordered]
    return records, warnings


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
