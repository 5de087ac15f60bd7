"""A run that measures costs: each backend in a fresh process of pytest-benchmark, its results in the directory."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rbench.cost.request import CostRequest, Plan, find_cost_suite
from rbench.cost.results import Place, kind, places, write_places
from rbench.errors import RbenchError
from rbench.run.gate import Gate, gate
from rbench.run.process import how_it_ended, thread_variables

Say = Callable[[str], None]


def measure(request: CostRequest, directory: Path, say: Say, *, force: bool = False) -> bool:
    """Measure what is not yet in `directory`.

    Args:
        request: what to measure.
        directory: the run's directory, made where it is not there.
        say: told how the run goes on, a line at a time.
        force: measure again what is there.

    Returns:
        Whether every case has its figure.

    Raises:
        RbenchError: what is asked for cannot be measured; nothing has been started.
    """
    plans = request.plans()
    if importlib.util.find_spec("pytest_benchmark") is None:
        raise RbenchError(f"suite {request.suite!r} measures with pytest-benchmark; pip install 'rbench[bench]'")
    if kind(directory) == "training":
        raise RbenchError(f"{directory} holds a run that trains; name another directory with -o")
    found = {place.plan.name: place for place in places(directory)}
    module = find_cost_suite(request.suite).benchmarks
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for plan in plans:
            old = found.get(plan.name)
            if not force and old is not None and old.plan == plan and old.complete(directory):
                say(f"{plan.name}: kept from an earlier run")
                continue
            found[plan.name] = _measure_place(plan, module, directory, say)
            write_places(directory, request, list(found.values()))
    except OSError as error:
        raise RbenchError(f"cannot run into {directory}: {error.strerror}; name another directory with -o") from None
    return all(found[plan.name].complete(directory) for plan in plans)


def _measure_place(plan: Plan, module: str, directory: Path, say: Say) -> Place:
    """The gate, and where it is passed the benchmarks; a backend that failed it is not timed."""
    checked = gate(plan.backend, plan.dtype, plan.device, plan.threads)
    say(str(checked))
    if not checked.passed:
        (directory / f"{plan.name}.json").unlink(missing_ok=True)
        ends = {str(case): ("skipped", f"not timed: {checked}") for case in plan.cases}
        return Place(plan=plan, gate=checked, failures=ends)
    return _run(plan, module, directory, checked, say)


def _run(plan: Plan, module: str, directory: Path, checked: Gate, say: Say) -> Place:
    results, log = directory / f"{plan.name}.json", directory / f"{plan.name}.log"
    written = directory / f".{plan.name}.{os.getpid()}"
    results.unlink(missing_ok=True)
    reading, writing = os.pipe()
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(module, directory, written),
            stdout=output,
            stderr=subprocess.STDOUT,
            env=_environment(plan, writing),
            pass_fds=(writing,),
            start_new_session=True,
        )
    os.close(writing)
    ends: dict[str, tuple[str, str]] = {}
    done = 0
    try:
        with os.fdopen(reading) as lines:
            for line in lines:
                end, done = json.loads(line), done + 1
                say(f"[{done}/{len(plan.cases)}] {plan.backend} {plan.dtype} {end['case']}: {_words(end)}")
                if end["status"] != "ok":
                    ends[end["case"]] = (end["status"], end["reason"])
        process.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if written.exists():
        written.replace(results)
    elif len(ends) < len(plan.cases):
        # pytest-benchmark writes at the end, so what was measured before a crash is lost as well.
        reason = f"no results: the process {how_it_ended(process.returncode)}; see {log.name}"
        ends = {str(case): ends.get(str(case), ("crashed", reason)) for case in plan.cases}
    return Place(plan=plan, gate=checked, failures=ends)


def _command(module: str, directory: Path, written: Path) -> list[str]:
    """pytest without the configuration and plugins of wherever it is called, but for pytest-benchmark's."""
    # -P: the process imports what its parent does, not a checkout that it happens to stand in.
    words = [sys.executable, "-P", "-m", "pytest", "-c", os.devnull, "--rootdir", str(directory), "--noconftest"]
    plugins = ["pytest_benchmark.plugin", "rbench.cost.reporter", "no:cacheprovider"]
    words += [word for plugin in plugins for word in ("-p", plugin)]
    words += ["--import-mode=importlib", "--tb=short", f"--benchmark-json={written}"]
    return [*words, "--pyargs", module]


def _environment(plan: Plan, report: int) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    own = {"RBENCH_PLAN": plan.model_dump_json(), "RBENCH_REPORT": str(report), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return {**others, **thread_variables(plan.threads), **own}


def _words(end: dict[str, Any]) -> str:
    if end["status"] != "ok":
        return f"{end['status']}: {end['reason']}"
    ratio = "" if end["ratio"] is None else f", {end['ratio']:.2f} × sgd"
    return f"{1e3 * end['seconds']:.3g} ms{ratio}"
