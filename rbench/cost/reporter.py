"""Runs pytest in this process on one benchmark, and returns its result."""

import os
from collections.abc import Generator
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from rbench.errors import RbenchError, Skip
from rbench.experiment import Cell

PLUGINS = ("pytest_benchmark.plugin", "no:cacheprovider")
"""The only plugins that pytest loads, whatever is installed."""


class Reporter:
    """Keeps the last benchmark's result, or its error."""

    def __init__(self) -> None:
        self.entry: dict[str, Any] | None = None
        self.error: BaseException | None = None

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note how a phase of a test ended."""
        report = yield
        if not isinstance(getattr(item, "callspec", None) and item.callspec.params.get("cell"), Cell):  # type: ignore[attr-defined]
            return report  # a test without a cell, as pytest makes of an empty list
        if call.excinfo is not None:
            self.error = call.excinfo.value
        elif report.when == "call":
            self.entry = item.funcargs["benchmark"].stats.as_dict()  # type: ignore[attr-defined]
        return report


def measured(module: str) -> dict[str, Any]:
    """The entry of a module's one benchmark, as pytest-benchmark stores it.

    Raises:
        Skip: the test was skipped.
        RbenchError: the module has no benchmark for the cell.
        Exception: whatever the benchmark raised.
    """
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_XDIST_WORKER"):
        os.environ.pop(name, None)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    reporter = Reporter()
    with TemporaryDirectory(prefix="rbench-") as scratch:
        words = ["-c", os.devnull, "--rootdir", scratch, "--noconftest", "--import-mode=importlib", "--tb=short"]
        words += [f"--benchmark-storage=file://{scratch}"]  # otherwise a folder appears in the working directory
        words += [word for plugin in PLUGINS for word in ("-p", plugin)]
        code = pytest.main([*words, "--pyargs", module], plugins=[reporter])
    if isinstance(reporter.error, pytest.skip.Exception):
        raise Skip(str(reporter.error))
    if isinstance(reporter.error, Exception):
        raise reporter.error
    if reporter.entry is None:
        raise RbenchError(f"{module} has no benchmark of it (pytest ended with {int(code)})")
    return reporter.entry
