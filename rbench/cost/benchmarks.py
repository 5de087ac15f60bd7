"""A plan measured by pytest-benchmark, in a fresh process of pytest; what is found is stored after each benchmark."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rbench.cost.request import Plan
from rbench.cost.results import Place, entries, entry_of, write_entries
from rbench.errors import RbenchError
from rbench.run.ask import ask
from rbench.run.gate import Gate
from rbench.run.provenance import provenance

Say = Callable[[str, int], None]
"""Told a line, and how many cases have ended with it."""


def run_benchmarks(plan: Plan, module: str, directory: Path, checked: Gate, say: Say, *, force: bool) -> Place:
    """Measure the cases of a plan that the directory does not have yet by a module of pytest-benchmark tests.

    A process that dies takes one case with it; another process goes on with those after it.

    Args:
        plan: what to measure.
        module: has a test with a parameter `case` for each of the plan's cases, in their order.
        directory: for the results, in the form of pytest-benchmark's JSON, and for what pytest prints.
        checked: the gate of the plan's backend.
        say: told each end.
        force: measure again what is there.

    Raises:
        RbenchError: what was found cannot be stored.
    """
    place = Place(plan=plan, gate=checked)
    ends = _Ends(plan, directory, [] if force else _kept(place, directory, say), say)
    while ends.left:
        log = directory / f"{plan.name}.log"
        question, words = plan.model_copy(update={"cases": tuple(ends.left.values())}), (module, str(directory))
        answer = ask(
            "rbench.cost.benchmark_worker",
            question.model_dump_json(),
            threads=plan.threads,
            arguments=words,
            log=log,
            heard=ends.heard,
        )
        if ends.left and answer.status != "ok":
            log = log.replace(directory / f"{plan.name}-{len(ends.failures)}.log")
            ends.fail(next(iter(ends.left)), answer.status, f"{answer.reason}; see {log.name}")
        else:
            for case in tuple(ends.left):
                ends.fail(case, "crashed", f"{module} has no benchmark of it; see {log.name}")
    return place.model_copy(update={"failures": ends.failures})


class _Ends:
    """How the cases of a plan end, each stored and told.

    Attributes:
        left: cases that have not ended, by what they are in words.
        failures: status and reason of those that have no figure.
    """

    def __init__(self, plan: Plan, directory: Path, kept: list[dict[str, Any]], say: Say) -> None:
        self.left, self.failures = {str(case): case for case in plan.cases}, dict[str, tuple[str, str]]()
        self._plan, self._directory, self._entries, self._say = plan, directory, kept, say
        if not kept:
            (directory / f"{plan.name}.json").unlink(missing_ok=True)
        for case in plan.cases:
            if entry_of(kept, case) is not None:
                self._end(str(case), "kept from an earlier run")

    def heard(self, line: bytes) -> None:
        """Take in what a process says of a case that has ended."""
        told = json.loads(line)
        if told["status"] != "ok":
            self.fail(told["case"], told["status"], told["reason"])
            return
        self._entries.append(told["entry"])
        try:
            write_entries(self._directory, self._plan, self._entries, told["provenance"])
        except OSError as error:
            raise RbenchError(
                f"cannot run into {self._directory}: {error.strerror}; name another directory with -o"
            ) from None
        self._end(told["case"], _words(told["entry"]))

    def fail(self, case: str, status: str, reason: str) -> None:
        """A case has ended without a figure."""
        self.failures[case] = (status, reason)
        self._end(case, f"{status}: {reason}")

    def _end(self, case: str, words: str) -> None:
        del self.left[case]
        count = len(self._plan.cases)
        where = f"{self._plan.backend} {self._plan.dtype}"
        self._say(f"[{count - len(self.left)}/{count}] {where} {case}: {words}", 1)


def _kept(place: Place, directory: Path, say: Say) -> list[dict[str, Any]]:
    """What the directory has of the place's cases, where it was measured as it would be now.

    Entries of two kinds of software never come into one file, which names but one.
    """
    plan, now, before = place.plan, provenance(), place.provenance(directory)
    # BLAS is what a process has loaded, which this one need not have.
    if changed := [name for name, value in now.items() if name != "blas" and before.get(name) != value]:
        if before:
            say(f"{plan.name}: measured again, for it was measured with another {', '.join(changed)}", 0)
        return []
    asked = {"threads": plan.threads, "device": place.gate.device}
    found = [entry for entry in entries(directory, plan) if asked.items() <= entry["extra_info"].items()]
    return [entry for case in plan.cases if (entry := entry_of(found, case)) is not None]


def _words(entry: dict[str, Any]) -> str:
    ratio = entry["extra_info"].get("step_ratio_to_sgd")
    return f"{1e3 * entry['stats']['median']:.3g} ms" + ("" if ratio is None else f", {ratio:.2f} × sgd")
