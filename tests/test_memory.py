"""The memory pass: it finds what a step is known to allocate, whoever allocates it, and nothing else."""

import json
import os
import sys

import pytest

from helpers import hungry as module
from helpers.command import python
from helpers.faults import cell
from helpers.hungry import MIB, hungry
from rbench import get_backend
from rbench.errors import Skip
from rbench.run.child_process import run_child
from rbench.run.isolate import run_isolated
from rbench.run.memory_worker import cell_peaks
from rbench.train.loop import set_up
from rbench.train.memory import VARIABLES, Peaks, check_memory

SCRIPT = """
import importlib.util, json, sys
from rbench.train.memory import step_peaks
spec = importlib.util.spec_from_file_location("hungry", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
stepper, params = module.hungry(**json.loads(sys.argv[2]))
print(step_peaks(stepper, params, 100).model_dump_json())
"""


def peaks(**settings):
    """Peaks of the method, in a process of its own."""
    return Peaks.model_validate_json(python(SCRIPT, module.__file__, json.dumps(settings), env=os.environ | VARIABLES))


@pytest.mark.parametrize("settings", [{"work": 5}, {"state": 3}, {"state": 2, "work": 4}, {"work": 3, "every": 4}])
def test_the_peak_is_what_the_method_holds_at_once(settings):
    found, held = peaks(**settings), 8 * MIB * (settings.get("state", 0) + settings.get("work", 0))
    assert found.host == pytest.approx(held, rel=0.01)
    assert found.resident == pytest.approx(held, rel=0.1)
    assert found.device is None


def test_a_step_that_takes_nothing_has_almost_no_peak():
    found = peaks()
    assert found.host < MIB / 8


# A compiled step of JAX returns copies of the state.
@pytest.mark.parametrize(("backend", "copies"), [("torch", 1), ("jax", 2)])
def test_allocations_outside_of_numpy_are_seen(backend, copies):
    pytest.importorskip(backend)
    assert peaks(backend=backend, state=4).host == pytest.approx(copies * 4 * 8 * MIB, rel=0.02)


def test_objects_of_python_count_as_what_they_take():
    count = 20_000
    sizes = count * (sys.getsizeof(1.0) + 8)  # with the list's pointers
    assert peaks(objects=count).host - peaks().host == pytest.approx(sizes, rel=0.1)


def test_what_is_taken_once_and_kept_is_not_of_a_step():
    assert peaks(work=1, buffers=4).host == pytest.approx(8 * MIB, rel=0.01)


def test_the_pass_of_a_cell_repeats_exactly():
    task = "two-spirals[n_train=600,n_test=20,batch_size=200,hidden=[64]]"
    asked = cell("riemannian[output_metric=ggn]", task=task, dtype="float64")
    worker, question = "rbench.run.memory_worker", asked.model_dump_json()
    found = [run_child(worker, question, threads=1, variables=VARIABLES) for _ in range(2)]
    first, again = (Peaks.model_validate_json(answer.text) for answer in found)
    assert first.host == pytest.approx(again.host, rel=1e-3)
    # Two of the capacitance, at least: its products and its factor, (200 data x 1 row of the metric)².
    assert first.host >= 2 * 8 * 200**2


def test_a_cell_that_needs_more_memory_than_there_is_has_no_peak():
    task = "two-spirals[n_train=60,n_test=20,batch_size=20,hidden=[8,300000]]"
    assert cell_peaks(cell("naive[mass=1]", task=task, dtype="float64")).host is None


@pytest.mark.parametrize(
    ("predicted", "free", "limit", "device", "words"),
    [
        (600, 700, None, None, None),
        (800, 700, None, None, "would need 800 MiB for its arrays; 700 MiB are free"),
        (600, 700, 900, None, None),
        (601, 700, 900, None, "would need 601 MiB for its arrays; 600 MiB are left of the memory limit"),
        (800, 700, 2000, None, "would need 800 MiB for its arrays; 700 MiB are free"),
        (1, 700, 200, None, "would need 1 MiB for its arrays; 0 MiB are left of the memory limit"),
        (0, 700, 200, None, None),
        (2048, 1536, 9000, None, "would need 2.0 GiB for its arrays; 1.5 GiB are free"),
        (601, 700, 900, 5, None),  # the limit is on host memory, which is not where this device has its arrays
        (800, 700, 900, 5, "would need 800 MiB for its arrays; 700 MiB are free"),
    ],
)
def test_a_step_must_fit_into_what_is_free_and_into_what_the_limit_leaves(
    monkeypatch, predicted, free, limit, device, words
):
    stepper, params = hungry(predicted=predicted)
    backend = stepper.problem.backend
    monkeypatch.setattr(backend, "free_bytes", lambda: free * MIB, raising=False)
    monkeypatch.setattr(backend, "device_bytes", lambda: device, raising=False)
    monkeypatch.setattr("rbench.train.memory.resident_bytes", lambda group: 300 * MIB)
    limit = limit and limit * MIB
    if words is None:
        check_memory(stepper, params, limit)
    else:
        with pytest.raises(Skip) as refused:
            check_memory(stepper, params, limit)
        assert str(refused.value) == words


def test_a_cell_that_its_limit_has_no_room_for_is_skipped_before_it_starts(tmp_path):
    """Of the inverse of 3,000 × 3,000 numbers and what it is made of: some 200 MiB."""
    task = "two-spirals[n_train=60,n_test=20,batch_size=20,hidden=[1000]]"
    large = cell("naive[mass=1]", task=task, dtype="float64")
    record = run_isolated(large, None, tmp_path, memory_limit=250 * MIB)
    assert record.status == "skipped", record.reason
    assert "are left of the memory limit" in record.reason
    stepper, _, params = set_up(large, get_backend("numpy", dtype="float64"))
    check_memory(stepper, params)
