"""A process of pytest that measures a plan, and tells of each benchmark as it ends.

`python -m rbench.cost.benchmark_worker MODULE DIR` reads the plan as JSON from standard input, and runs the
pytest-benchmark tests of the module. For each it writes lines of JSON to standard output, as it begins, and as it has
ended: `case` and `status`, which is `begun` first; then `reason`, or where it is `ok`, `entry`, as pytest-benchmark
stores it, `environment` and `provenance`.
"""

import json
import os
import sys
from collections.abc import Generator
from functools import cache
from typing import Any

import pytest

from rbench.cost.request import Case, Plan
from rbench.run.ask import answer_channel
from rbench.run.provenance import cost_environment, provenance

PLUGINS = ("pytest_benchmark.plugin", "no:cacheprovider")
"""pytest has these alone, whatever is installed where it is called."""


class Reporter:
    """Writes a line where a benchmark begins, and one where it has ended.

    Args:
        answer: file descriptor for the lines.
        environment: what is measured with.
    """

    def __init__(self, answer: int, environment: dict[str, str]) -> None:
        self._answer, self._environment = answer, environment
        self._provenance = cache(provenance)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Write that it begins."""
        if case := _case(item):
            self._write(case, {"status": "begun"})

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write how it has ended."""
        report = yield
        ended = report.when == "call" or (report.when == "setup" and not report.passed)
        if ended and (case := _case(item)):
            self._write(case, self._end(item, report, call.excinfo.value if call.excinfo else None))
        return report

    def _write(self, case: Case, told: dict[str, Any]) -> None:
        with open(self._answer, "wb", closefd=False) as file:
            file.write(json.dumps({"case": str(case), **told}, default=str).encode() + b"\n")

    def _end(self, item: pytest.Item, report: pytest.TestReport, error: BaseException | None) -> dict[str, Any]:
        """How it ended, and what it found."""
        if report.passed:
            found = item.funcargs["benchmark"].stats.as_dict()  # type: ignore[attr-defined]
            made_with = {"environment": self._environment, "provenance": self._provenance()}
            return {"status": "ok", "entry": found, **made_with}
        if report.skipped:
            return {"status": "skipped", "reason": str(error)}
        if isinstance(error, MemoryError):
            return {"status": "out_of_memory", "reason": str(error)}
        return {"status": "crashed", "reason": f"{type(error).__name__}: {error}"}


def _case(item: pytest.Item) -> Case | None:
    """What a test measures; None where a plan has no parts, say, for which pytest skips one test without a case."""
    case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
    return case if isinstance(case, Case) else None


def main() -> None:
    """Measure the plan on standard input."""
    answer = answer_channel()
    plan = Plan.model_validate_json(sys.stdin.read())
    # Before anything is measured: what is on disk may change later.
    environment = cost_environment([case.method for case in plan.cases], plan.backend, plan.device)
    module, directory = sys.argv[1:]
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_XDIST_WORKER"):
        os.environ.pop(name, None)
    os.environ |= {"RBENCH_PLAN": plan.model_dump_json(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    words = ["-c", os.devnull, "--rootdir", directory, "--noconftest", "--import-mode=importlib", "--tb=short"]
    words += [f"--benchmark-storage=file://{directory}"]  # otherwise a folder appears where it is called
    words += [word for plugin in PLUGINS for word in ("-p", plugin)]
    code = pytest.main([*words, "--pyargs", module], plugins=[Reporter(answer, environment)])
    told = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    sys.exit(0 if code in told else int(code))


if __name__ == "__main__":
    main()
