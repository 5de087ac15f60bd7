"""The memory pass of a cell: a fresh process, apart from the one that trains.

`python -m rbench.run.memory_worker` reads the cell as JSON from standard input, and writes `Peaks` as JSON to standard
output.
"""

import os
import sys

from pydantic import TypeAdapter

from rbench.errors import Skip
from rbench.experiment import AnyCell, Cell
from rbench.plugins import get_backend
from rbench.run.child_process import answer_channel
from rbench.train.memory import Peaks


def cell_peaks(cell: Cell) -> Peaks:
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
    cell = TypeAdapter(AnyCell).validate_json(sys.stdin.read())
    os.write(answer, cell_peaks(cell).model_dump_json().encode())


if __name__ == "__main__":
    main()
