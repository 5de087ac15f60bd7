"""The memory pass of a cell: a fresh process, apart from the one that trains.

`python -m rbench.run.memory_worker` reads the cell as JSON from standard input, and writes `Measured` as JSON to
standard output.
"""

import os
import sys
from typing import cast

from pydantic import TypeAdapter

from rbench.errors import Skip
from rbench.experiment import AnyCell, MemoryCell
from rbench.plugins import get_backend
from rbench.run.child_process import answer_channel
from rbench.run.memory_pass import Measured
from rbench.run.provenance import environment
from rbench.train.memory import Peaks


def cell_peaks(cell: MemoryCell) -> Peaks:
    """Peaks of a cell's steps, or the reason why the steps do not fit into memory.

    Raises:
        BackendError: the backend cannot run here.
        DataError: the data are not available.
    """
    backend = get_backend(cell.backend, dtype=cell.dtype, device=cell.device)
    with backend.inference():
        try:
            return cell.peaks(backend)
        except Skip as error:
            return Peaks(skipped=str(error))


def main() -> None:
    """Measure the cell on standard input."""
    answer = answer_channel()
    cell = cast(MemoryCell, TypeAdapter(AnyCell).validate_json(sys.stdin.read()))
    made_with = environment(cell)  # before anything is measured: what is on disk may change later
    found = Measured(**cell_peaks(cell).model_dump(), environment=made_with)
    os.write(answer, found.model_dump_json().encode())


if __name__ == "__main__":
    main()
