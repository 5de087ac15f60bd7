"""A plan measured by pytest-benchmark, in a fresh process of pytest; what is found is stored after each benchmark."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rbench.cost.results import Place, drop_entry, entry_of, store_entry
from rbench.run.ask import ask
from rbench.run.directory import writing_into

Say = Callable[[str, int], None]
"""Told a line, and how many cases have ended with it."""


def run_benchmarks(
    place: Place, module: str, directory: Path, kept: list[dict[str, Any]], say: Say
) -> dict[str, tuple[str, str]]:
    """Measure the cases of a place that are not among the entries kept, by a module of pytest-benchmark tests.

    A process that dies in a case takes that one with it; another process goes on with those after it. One that dies
    before its first case takes all with it, for so would any other.

    Args:
        place: where to measure, and what.
        module: has a test with a parameter `case` for each of the plan's cases, in their order.
        directory: for the results, in the form of pytest-benchmark's JSON, and for what pytest prints.
        kept: entries of an earlier run that need not be measured again.
        say: told each end.

    Returns:
        Status and reason of the cases without a figure, by what they are in words.

    Raises:
        ChangedError: the software changed since the place was made.
        RbenchError: what was found cannot be stored.
    """
    plan, ends = place.plan, _Ends(place, directory, kept, say)
    log = directory / f"{plan.name}.log"
    while ends.left:
        log.unlink(missing_ok=True)
        ends.begun = None
        answer = ask(
            "rbench.cost.benchmark_worker",
            plan.model_copy(update={"cases": tuple(ends.left.values())}).model_dump_json(),
            threads=plan.threads,
            arguments=(module, str(directory)),
            log=log,
            heard=ends.heard,
        )
        if answer.status != "ok" and ends.begun is not None and ends.begun in ends.left:
            # The next process writes another log in its place.
            own = directory / f"{plan.name}-{len(ends.failures)}.log"
            ends.fail(ends.begun, answer.status, _see(log.replace(own) if log.exists() else log, answer.reason))
        elif answer.status == "ok" or ends.begun is None:
            status, reason = ("crashed", f"{module} has no benchmark of it") if answer.status == "ok" else answer[1:3]
            for case in tuple(ends.left):
                ends.fail(case, status, _see(log, reason))
    return ends.failures


class _Ends:
    """How the cases of a place end, each stored and told.

    Attributes:
        left: cases that have not ended, by what they are in words.
        failures: status and reason of those that have no figure.
        begun: the case that a process has begun last; None before its first.
    """

    def __init__(self, place: Place, directory: Path, kept: list[dict[str, Any]], say: Say) -> None:
        self.left, self.failures = {str(case): case for case in place.plan.cases}, dict[str, tuple[str, str]]()
        self.begun: str | None = None
        self._place, self._directory, self._say = place, directory, say
        for case in place.plan.cases:
            if entry_of(kept, case) is not None:
                self._end(str(case), "kept from an earlier run")

    def heard(self, line: bytes) -> None:
        """Take in what a process says of a case that begins or has ended."""
        told = json.loads(line)
        if told["status"] == "begun":
            self.begun = told["case"]
            return
        if told["status"] != "ok":
            self.fail(told["case"], told["status"], told["reason"])
            return
        made_with = {name: told[name] for name in ("environment", "provenance")}
        with writing_into(self._directory):
            store_entry(self._directory, self._place, self.left[told["case"]], told["entry"], **made_with)
        self._end(told["case"], _words(told["entry"]))

    def fail(self, case: str, status: str, reason: str) -> None:
        """A case has ended without a figure."""
        self.failures[case] = (status, reason)
        with writing_into(self._directory):
            drop_entry(self._directory, self._place, self.left[case])
        self._end(case, f"{status}: {reason}")

    def _end(self, case: str, words: str) -> None:
        del self.left[case]
        plan = self._place.plan
        count = len(plan.cases)
        self._say(f"[{count - len(self.left)}/{count}] {plan.backend} {plan.dtype} {case}: {words}", 1)


def _see(log: Path, reason: str | None) -> str:
    """A reason, and where to read more; a process that never was has left no log."""
    return f"{reason}; see {log.name}" if log.exists() else f"{reason}"


def _words(entry: dict[str, Any]) -> str:
    ratio = entry["extra_info"].get("step_ratio_to_sgd")
    return f"{1e3 * entry['stats']['median']:.3g} ms" + ("" if ratio is None else f", {ratio:.2f} × sgd")
