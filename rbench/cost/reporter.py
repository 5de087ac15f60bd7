"""A pytest plugin that tells the process above how each benchmark ended, and leaves provenance in the results.

Lines of JSON go to the file descriptor that `RBENCH_REPORT` names: `case`, `status`, `reason`, `seconds`, `ratio`.
"""

import json
import os
from collections.abc import Generator
from typing import Any

import pytest

from rbench.cost.request import Case
from rbench.run.provenance import provenance


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write a line where a benchmark has ended."""
    report = yield
    case = item.callspec.params["case"]  # type: ignore[attr-defined]
    # Where a plan has no parts, say, pytest skips one test without a case.
    ended = report.when == "call" or (report.when == "setup" and not report.passed)
    if ended and isinstance(case, Case):
        line: dict[str, Any] = {"case": str(case)}
        error = call.excinfo.value if call.excinfo else None
        if report.passed:
            benchmark = item.funcargs["benchmark"]  # type: ignore[attr-defined]
            ratio = benchmark.extra_info.get("step_ratio_to_sgd")
            line |= {"status": "ok", "seconds": benchmark.stats.stats.median, "ratio": ratio}
        elif report.skipped:
            line |= {"status": "skipped", "reason": str(error)}
        elif isinstance(error, MemoryError):
            line |= {"status": "out_of_memory", "reason": str(error)}
        else:
            line |= {"status": "crashed", "reason": f"{type(error).__name__}: {error}"}
        os.write(int(os.environ["RBENCH_REPORT"]), json.dumps(line).encode() + b"\n")
    return report


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    """Add rbench's own provenance to what pytest-benchmark says of the machine."""
    machine_info["rbench"] = provenance()
