"""pytest-benchmark tests of the steps and parts of one backend; `rbench run step-time` runs them for each.

The plan is read from the environment variable `RBENCH_PLAN`; without it, NumPy is measured:

    pytest -c /dev/null --benchmark-json=FILE --pyargs rbench.cost.step_time_benchmarks
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rbench.backend import Backend
from rbench.cost.parts import get_part
from rbench.cost.request import Case, CostRequest, Plan
from rbench.cost.timing import PreparedStep, figures, rounds_for
from rbench.errors import Skip
from rbench.plugins import get_backend
from rbench.train.clock import arrays_of, timed
from rbench.train.process import keep_freed_memory

GIVEN = os.environ.get("RBENCH_PLAN")
PLAN = Plan.model_validate_json(GIVEN) if GIVEN else CostRequest().plans()[0]


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    """The plan's backend, in a process that is set up as for training."""
    keep_freed_memory()
    made = get_backend(PLAN.backend, dtype=PLAN.dtype, device=PLAN.device)
    with made.inference():
        yield made


@pytest.mark.parametrize("case", [case for case in PLAN.cases if case.method], ids=str)
def test_step(benchmark: Any, backend: Backend, case: Case) -> None:
    """A synchronised step, or where steps differ a cycle of them; its ratio to SGD's, in turn; its operations."""
    with _ends(backend):
        prepared = PreparedStep(backend, case)
        paired = prepared.paired()
        benchmark.extra_info.update(figures(backend, PLAN, case) | prepared.counted() | paired)
        rounds = rounds_for(paired["paired_step_seconds"] * prepared.cycle)
        benchmark.pedantic(prepared.step, rounds=rounds, iterations=prepared.cycle, warmup_rounds=1)


@pytest.mark.parametrize("case", [case for case in PLAN.cases if case.part], ids=str)
def test_part(benchmark: Any, backend: Backend, case: Case) -> None:
    """A synchronised part of a step."""
    with _ends(backend):
        part = get_part(case.part, backend)
        timed(backend, part.call)  # compiles

        def run() -> None:
            backend.synchronize(arrays_of(part.call()))

        benchmark.extra_info.update(figures(backend, PLAN, case) | {"sizes": part.sizes, "operations": part.operations})
        benchmark.pedantic(run, rounds=rounds_for(timed(backend, part.call)), iterations=1, warmup_rounds=1)


@contextmanager
def _ends(backend: Backend) -> Iterator[None]:
    """Say of an end that is no figure which one it is."""
    try:
        yield
    except Skip as error:
        pytest.skip(str(error))
    except Exception as error:
        if backend.is_out_of_memory(error):
            raise MemoryError(str(error) or "memory ran out") from error
        raise
