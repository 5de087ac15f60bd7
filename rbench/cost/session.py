"""A run that measures costs: backend by backend, each after its gate, what is found stored in the directory."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rbench.cost.benchmarks import Say, run_benchmarks
from rbench.cost.points import measure_points
from rbench.cost.request import CostRequest, Plan, find_cost_suite
from rbench.cost.results import Place, drop_entries, entries, entry_of, places, set_damaged_aside, write_places
from rbench.errors import RbenchError
from rbench.run.directory import WAY_OUT, check_directory, remove_halves, writing_into
from rbench.run.fork import servers
from rbench.run.gate import gate
from rbench.run.lock import locked
from rbench.run.provenance import cost_environment, look_again
from rbench.run.resume import ChangedError
from rbench.run.suite import CostSuite


@servers
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
        ChangedError: without `force`, something there was measured with other software, threads or on another device;
            or the software changed while the run went on. What was measured before is kept.
        RbenchError: what is asked for cannot be measured; nothing has been started.
    """
    plans = request.plans()
    suite = find_cost_suite(request.suite)
    if suite.benchmarks and importlib.util.find_spec("pytest_benchmark") is None:
        raise RbenchError(f"suite {request.suite!r} measures with pytest-benchmark; pip install 'rbench[bench]'")
    check_directory(directory, "cost")
    places(directory)  # one that cannot be read is refused before anything is written
    with locked(directory):
        look_again()
        found = {place.plan.name: place for place in places(directory)}
        _tidy(directory, {**{name: place.plan for name, place in found.items()}, **{p.name: p for p in plans}}, say)
        stale = _stale(plans, found, directory, say, force=force)

        def store(place: Place) -> None:
            if found.get(place.plan.name) != place:
                found[place.plan.name] = place
                write_places(directory, request, list(found.values()))

        def begin(place: Place) -> None:
            while stale:  # all at once: where the command is stopped, another one without `force` goes on
                drop_entries(directory, stale.pop())
            store(place)

        with writing_into(directory):
            for plan in plans:
                store(_measured(plan, suite, directory, found.get(plan.name), say, begin, force=force))
        return all(found[plan.name].complete(directory) for plan in plans)


def _tidy(directory: Path, plans: dict[str, Plan], say: Say) -> None:
    """Remove what a killed run was just writing, and set aside what is damaged."""
    remove_halves(directory, tuple(plans))
    for plan in plans.values():
        if words := set_damaged_aside(directory, plan):
            say(words, 0)


def _measured(
    plan: Plan,
    suite: CostSuite,
    directory: Path,
    old: Place | None,
    say: Say,
    begin: Callable[[Place], None],
    *,
    force: bool,
) -> Place:
    """Measure what is missing of a plan; a backend that fails the gate is not timed, and keeps what it has.

    Args:
        plan: what to measure.
        suite: the plan's.
        directory: the run's.
        old: what the directory has under the plan's name, and with what it was measured.
        say: told how it goes on.
        begin: called before anything is measured.
        force: measure again what is there; each figure stays until the new one is there.
    """
    kept = [] if force else entries(directory, plan)
    if old is not None and all(entry_of(kept, case) is not None for case in plan.cases):
        say(f"{plan.name}: kept from an earlier run", len(plan.cases))
        return old.model_copy(update={"plan": plan, "failures": {}})
    checked = gate(plan.backend, plan.dtype, plan.device, plan.threads)
    say(str(checked), 0)
    if not checked.passed:
        failures = {str(case): ("skipped", f"not timed: {checked}") for case in plan.cases if not entry_of(kept, case)}
        return Place(plan=plan, gate=checked, environment=old.environment if old else {}, failures=failures)
    if devices := _others(entries(directory, plan), "device", checked.device):
        if not force:
            raise _changed(directory, plan.name, devices)
        drop_entries(directory, plan)
    methods = [*_methods(entries(directory, plan)), *(case.method for case in plan.cases)]
    place = Place(plan=plan, gate=checked, environment=cost_environment(methods, plan.backend, plan.device))
    begin(place)
    if suite.benchmarks:
        failures = run_benchmarks(place, suite.benchmarks, directory, kept, say)
    else:
        failures = measure_points(place, suite.most_seconds, directory, kept, say)
    return place.model_copy(update={"failures": failures})


def _stale(plans: list[Plan], found: dict[str, Place], directory: Path, say: Say, *, force: bool) -> list[Plan]:
    """Plans of which the directory has figures that were measured otherwise; only with `force` there may be any."""
    asked, stale = {plan.name: plan for plan in plans}, []
    others = {name: place.plan.model_copy(update={"threads": plans[0].threads}) for name, place in found.items()}
    for name, plan in (others | asked).items():
        if changes := _changes(plan, found.get(name), entries(directory, plan)):
            if not force:
                raise _changed(directory, name, changes)
            if name in asked:
                stale.append(plan)
            else:
                say(f"{name}: stays, and was measured otherwise than it would be now: {'; '.join(changes)}", 0)
    return stale


def _changes(plan: Plan, old: Place | None, there: list[dict[str, Any]]) -> list[str]:
    """What differs between what entries were measured with and what there is now, in words: from that to this."""
    if not there:
        return []
    if old is None or not old.environment:
        return ["it does not say with what"]
    now = cost_environment(_methods(there), plan.backend, plan.device)
    return [*old.unlike(now), *_others(there, "threads", plan.threads)]


def _others(there: list[dict[str, Any]], name: str, now: Any) -> list[str]:
    """What else entries have of a fact, in words: from that to this."""
    others = {entry["extra_info"].get(name) for entry in there} - {now}
    return [f"{name}: {before} → {now}" for before in sorted(map(str, others))]


def _changed(directory: Path, name: str, changes: list[str]) -> ChangedError:
    return ChangedError(
        f"{directory}: {name} was measured otherwise than it would be now ({'; '.join(changes)}); no table should mix "
        f"them: {WAY_OUT}, or measure it again with --force"
    )


def _methods(there: list[dict[str, Any]]) -> list[str]:
    return [entry["extra_info"].get("method", "") for entry in there]
