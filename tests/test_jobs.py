"""As many cells run at once as were asked for, and no more."""

import threading

import pytest

from helpers.faults import SPIRALS, Shown
from helpers.tuning import by_rate
from rbench.run import Budget, Request
from rbench.run import run as run_request


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_so_many_cells_run_at_once(bench, tmp_path, jobs):
    together = threading.Barrier(jobs)
    lock = threading.Lock()
    running = []
    most = []

    def outcome(cell):
        with lock:
            running.append(cell)
            most.append(len(running))
        together.wait(timeout=20)  # breaks unless as many are here
        with lock:
            running.remove(cell)
        return by_rate(cell)

    bench.outcome = outcome
    asked = Request(tasks=(SPIRALS,), methods=("sgd",), budget=Budget(steps=3), threads=1, seeds=6, jobs=jobs)
    done = run_request(asked, tmp_path, Shown())
    assert done.ok
    assert max(most) == jobs
