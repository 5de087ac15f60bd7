"""A plan measured by pytest-benchmark, in a fresh process of pytest."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rbench.cost.request import Plan
from rbench.cost.results import Place
from rbench.run.gate import Gate
from rbench.run.process import how_it_ended, thread_variables

Say = Callable[[str, int], None]
"""Told a line, and how many cases have ended with it."""


def run_benchmarks(plan: Plan, module: str, directory: Path, checked: Gate, say: Say) -> Place:
    """Run a module of pytest-benchmark tests on a plan, in a fresh process; its JSON is left in the directory."""
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
                say(f"[{done}/{len(plan.cases)}] {plan.backend} {plan.dtype} {end['case']}: {_words(end)}", 1)
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
