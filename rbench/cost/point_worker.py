"""One step of one method, measured in a process of its own: its seconds, or its memory.

`python -m rbench.cost.point_worker` reads `Point` as JSON from standard input, and writes `Found` as JSON to standard
output.
"""

import os
import sys

import numpy as np

from rbench.backend import Backend
from rbench.cost.points import Found, Point
from rbench.cost.timing import ROUND_SECONDS, PreparedStep, figures, rounds_for
from rbench.errors import Skip
from rbench.plugins import get_backend
from rbench.run.ask import answer_channel
from rbench.run.provenance import cost_environment, provenance
from rbench.train.clock import timed
from rbench.train.process import keep_freed_memory

SLOW_ROUNDS = 3
"""Rounds of a step that takes longer than all rounds of a quick one."""


def measured(backend: Backend, point: Point) -> Found:
    """Median seconds of a synchronised step with quartiles, after one to warm up; or what a step takes of memory.

    Raises:
        Skip: the step needs more memory than there is.
    """
    prepared = PreparedStep(backend, point.case)
    if point.memory:
        return Found(extra_info=prepared.peaks().figures())
    first = timed(backend, prepared.cycle_of_steps)
    seconds = [timed(backend, prepared.cycle_of_steps) / prepared.cycle]
    rounds = SLOW_ROUNDS if seconds[0] > ROUND_SECONDS else rounds_for(seconds[0] * prepared.cycle)
    seconds += [timed(backend, prepared.cycle_of_steps) / prepared.cycle for _ in range(rounds - 1)]
    low, middle, high = (float(np.quantile(seconds, quantile)) for quantile in (0.25, 0.5, 0.75))
    compiling = None if backend.eager else max(0.0, first - middle * prepared.cycle)
    extra = figures(backend, point.plan, point.case) | prepared.counted()
    return Found(
        extra_info=extra | {"compile_seconds": compiling},
        stats={"median": middle, "q1": low, "q3": high, "rounds": len(seconds)},
    )


def main() -> None:
    """Measure the point on standard input."""
    point = Point.model_validate_json(sys.stdin.read())
    answer = answer_channel()
    if not point.memory:
        keep_freed_memory()
    environment = cost_environment([point.case.method], point.plan.backend, point.plan.device)
    backend = get_backend(point.plan.backend, dtype=point.plan.dtype, device=point.plan.device)
    try:
        made_with = {"environment": environment, "provenance": provenance()}
        with backend.inference():
            found = measured(backend, point).model_copy(update=made_with)
    except Skip as error:
        found = Found(status="skipped", reason=str(error))
    except Exception as error:
        if not backend.is_out_of_memory(error):
            raise
        found = Found(status="out_of_memory", reason=str(error) or "memory ran out")
    os.write(answer, found.model_dump_json().encode())


if __name__ == "__main__":
    main()
