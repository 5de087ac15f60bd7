"""A process of pytest that measures a plan, and tells of each benchmark as it ends.

`python -m rbench.cost.benchmark_worker MODULE DIR` reads the plan as JSON from standard input, and runs the
pytest-benchmark tests of the module. For each it writes a line of JSON to standard output: `case`, `status`, `reason`;
of one that is `ok` also `entry`, as pytest-benchmark stores it, and `provenance`.
"""

import json
import os
import sys
from collections.abc import Generator
from functools import cache
from typing import Any

import pytest

from rbench.cost.request import Case
from rbench.run.ask import answer_channel
from rbench.run.provenance import provenance

PLUGINS = ("pytest_benchmark.plugin", "no:cacheprovider")
"""pytest has these alone, whatever is installed where it is called."""


class Reporter:
    """Writes a line where a benchmark has ended.

    Args:
        answer: file descriptor for the lines.
    """

    def __init__(self, answer: int) -> None:
        self._answer = answer
        self._provenance = cache(provenance)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Write the line."""
        report = yield
        # Where a plan has no parts, say, pytest skips one test without a case.
        case = item.callspec.params.get("case") if hasattr(item, "callspec") else None
        ended = report.when == "call" or (report.when == "setup" and not report.passed)
        if ended and isinstance(case, Case):
            line = {"case": str(case), **self._end(item, report, call.excinfo.value if call.excinfo else None)}
            with open(self._answer, "wb", closefd=False) as file:
                file.write(json.dumps(line, default=str).encode() + b"\n")
        return report

    def _end(self, item: pytest.Item, report: pytest.TestReport, error: BaseException | None) -> dict[str, Any]:
        """How it ended, and what it found."""
        if report.passed:
            found = item.funcargs["benchmark"].stats.as_dict()  # type: ignore[attr-defined]
            return {"status": "ok", "entry": found, "provenance": self._provenance()}
        if report.skipped:
            return {"status": "skipped", "reason": str(error)}
        if isinstance(error, MemoryError):
            return {"status": "out_of_memory", "reason": str(error)}
        return {"status": "crashed", "reason": f"{type(error).__name__}: {error}"}


def main() -> None:
    """Measure the plan on standard input."""
    answer = answer_channel()
    module, directory = sys.argv[1:]
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    os.environ |= {"RBENCH_PLAN": sys.stdin.read(), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    words = ["-c", os.devnull, "--rootdir", directory, "--noconftest", "--import-mode=importlib", "--tb=short"]
    words += [word for plugin in PLUGINS for word in ("-p", plugin)]
    code = pytest.main([*words, "--pyargs", module], plugins=[Reporter(answer)])
    told = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
    sys.exit(0 if code in told else int(code))


if __name__ == "__main__":
    main()
