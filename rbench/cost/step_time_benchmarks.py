"""pytest-benchmark tests of steps and their parts; `rbench run step-time` runs one per cell.

The cell is read from the environment variable `RBENCH_CELL`; without it, the suite `step-time` is measured on NumPy:

    pytest -c /dev/null --benchmark-json=FILE --pyargs rbench.cost.step_time_benchmarks
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from rbench.backend import Backend
from rbench.cost.benchmark import CELL
from rbench.cost.cells import PartTime, StepTime
from rbench.cost.parts import get_part
from rbench.cost.timing import rounds_for
from rbench.errors import Skip
from rbench.experiment import AnyCell, Cell
from rbench.plugins import get_backend
from rbench.run.request import Request
from rbench.train.clock import arrays_of, timed
from rbench.train.process import keep_freed_memory

GIVEN = os.environ.get(CELL)
CELLS = [TypeAdapter(AnyCell).validate_json(GIVEN)] if GIVEN else Request(suites=("step-time",)).cells()


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """The cells' backend, in a process that is set up as for training."""
    keep_freed_memory()
    made = get_backend(CELLS[0].backend, dtype=CELLS[0].dtype, device=CELLS[0].device)
    with made.inference():
        yield made


@pytest.mark.parametrize("cell", [cell for cell in CELLS if isinstance(cell, StepTime)], ids=lambda cell: cell.title)
def test_step(benchmark: Any, backend: Backend, cell: StepTime) -> None:
    """A synchronised step, or a cycle where steps differ; its ratio to SGD's, timed in turn; operations and parts."""
    try:
        prepared = cell.prepared(backend)
    except Skip as error:
        pytest.skip(str(error))
    paired = prepared.paired()
    benchmark.extra_info.update(_facts(backend, cell) | prepared.counted() | paired)
    rounds = rounds_for(paired["paired_step_seconds"] * prepared.cycle)
    benchmark.pedantic(prepared.step, rounds=rounds, iterations=prepared.cycle, warmup_rounds=1)
    benchmark.extra_info.update(prepared.parts())  # last, so that it cannot change how the step is timed


@pytest.mark.parametrize("cell", [cell for cell in CELLS if isinstance(cell, PartTime)], ids=lambda cell: cell.title)
def test_part(benchmark: Any, backend: Backend, cell: PartTime) -> None:
    """A synchronised part of a step."""
    part = get_part(cell.part, backend)
    timed(backend, part.call)  # compiles

    def run() -> None:
        backend.synchronize(arrays_of(part.call()))

    benchmark.extra_info.update(_facts(backend, cell) | {"sizes": part.sizes, "operations": part.operations})
    benchmark.pedantic(run, rounds=rounds_for(timed(backend, part.call)[0]), iterations=1, warmup_rounds=1)


def _facts(backend: Backend, cell: Cell) -> dict[str, Any]:
    """What is measured, and where."""
    return cell.model_dump(exclude={"benchmarks"}) | {"device": backend.device, "libraries": backend.describe()}
