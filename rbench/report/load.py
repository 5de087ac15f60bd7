"""Records of run directories, and what is missing from them."""

import json
from pathlib import Path

from rbench.errors import DataError
from rbench.run.record import Record, read_records


def load(directories: list[Path]) -> tuple[list[Record], list[str]]:
    """All records, and a warning for each directory with damaged records or cells that have not run.

    Raises:
        DataError: a directory holds no run.
    """
    records: list[Record] = []
    warnings = []
    for directory in directories:
        try:
            planned = json.loads((directory / "run.json").read_text())["cells"]
        except (OSError, ValueError, KeyError, TypeError):
            raise DataError(
                f"{directory} holds no run: there is no readable run.json; give the DIR of `rbench run -o DIR`"
            ) from None
        found, damaged = read_records(directory)
        missing = set(planned) - {record.cell.key for record in found}
        if missing:
            warnings.append(
                f"{directory}: {len(missing)} of {len(planned)} cells have no record; run it again to finish them"
            )
        warnings += [f"{path} cannot be read; run it again" for path in damaged]
        # In the order of the plan; cells of an earlier request into the same directory come after it.
        place = {key: index for index, key in enumerate(planned)}
        records += sorted(found, key=lambda record: place.get(record.cell.key, len(place)))
    return records, warnings
