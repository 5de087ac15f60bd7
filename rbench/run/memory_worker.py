"""The memory pass of a cell: a fresh process, apart from the one that trains.

`python -m rbench.run.memory_worker` reads the cell as JSON from standard input, and writes `Peaks` as JSON to standard
output.
"""

import os
import sys

from rbench.errors import Skip
from rbench.methods.base import WINDOW
from rbench.plugins import get_backend
from rbench.run.ask import answer_channel
from rbench.train.cell import Cell
from rbench.train.loop import set_up
from rbench.train.memory import Peaks, check_memory, step_peaks


def cell_peaks(cell: Cell) -> Peaks:
    """Peaks of a cell's steps; where they need more memory than there is, the reason in place of them.

    Raises:
        BackendError: the backend cannot run here.
        DataError: the data cannot be had.
    """
    backend = get_backend(cell.backend, dtype=cell.dtype, device=cell.device)
    with backend.inference():
        stepper, _, params = set_up(cell, backend)
        try:
            check_memory(stepper, params)
        except Skip as error:
            return Peaks(skipped=str(error))
        return step_peaks(stepper, params, WINDOW)


def main() -> None:
    """Measure the cell on standard input."""
    answer = answer_channel()
    cell = Cell.model_validate_json(sys.stdin.read())
    os.write(answer, cell_peaks(cell).model_dump_json().encode())


if __name__ == "__main__":
    main()
