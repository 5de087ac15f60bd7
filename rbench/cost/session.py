"""A run that measures costs: backend by backend, each after its gate, what is found stored in the directory."""

import importlib.util
from pathlib import Path

from rbench.cost.benchmarks import Say, run_benchmarks
from rbench.cost.points import measure_points
from rbench.cost.request import CostRequest, find_cost_suite
from rbench.cost.results import Place, kind, places, write_places
from rbench.errors import RbenchError
from rbench.run.gate import gate
from rbench.run.lock import locked
from rbench.run.suite import CostSuite


def measure(request: CostRequest, directory: Path, say: Say, *, force: bool = False) -> bool:
    """Measure what is not yet in `directory`.

    Args:
        request: what to measure.
        directory: the run's directory, made where it is not there.
        say: told how the run goes on.
        force: measure again what is there.

    Returns:
        Whether every case has its figure.

    Raises:
        RbenchError: what is asked for cannot be measured; nothing has been started.
    """
    plans = request.plans()
    suite = find_cost_suite(request.suite)
    if suite.benchmarks and importlib.util.find_spec("pytest_benchmark") is None:
        raise RbenchError(f"suite {request.suite!r} measures with pytest-benchmark; pip install 'rbench[bench]'")
    if kind(directory) == "training":
        raise RbenchError(f"{directory} holds a run that trains; name another directory with -o")
    with locked(directory):
        for path in directory.glob(".*.json.*"):  # what a killed run was just writing
            path.unlink()
        found = {place.plan.name: place for place in places(directory)}
        try:
            for plan in plans:
                old = found.get(plan.name)
                if not force and old is not None and old.plan == plan and old.complete(directory):
                    say(f"{plan.name}: kept from an earlier run", len(plan.cases))
                    continue
                checked = gate(plan.backend, plan.dtype, plan.device, plan.threads)
                say(str(checked), 0)
                found[plan.name] = Place(plan=plan, gate=checked)
                write_places(directory, request, list(found.values()))
                found[plan.name] = _measure_place(found[plan.name], suite, directory, say, force=force)
                write_places(directory, request, list(found.values()))
        except OSError as error:
            raise RbenchError(
                f"cannot run into {directory}: {error.strerror}; name another directory with -o"
            ) from None
        return all(found[plan.name].complete(directory) for plan in plans)


def _measure_place(place: Place, suite: CostSuite, directory: Path, say: Say, *, force: bool) -> Place:
    """Measure where the gate is passed; a backend that failed it is not timed."""
    plan, checked = place.plan, place.gate
    if not checked.passed:
        (directory / f"{plan.name}.json").unlink(missing_ok=True)
        ends = {str(case): ("skipped", f"not timed: {checked}") for case in plan.cases}
        return Place(plan=plan, gate=checked, failures=ends)
    if suite.benchmarks:
        return run_benchmarks(plan, suite.benchmarks, directory, checked, say, force=force)
    return measure_points(plan, suite.most_seconds, directory, checked, say, force=force)
