"""Steps measured one by one, their seconds and their memory in a process each; what is found is stored after both."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from rbench.cost.benchmarks import Say
from rbench.cost.request import Case, Plan
from rbench.cost.results import Place, drop_entry, entry_of, store_entry
from rbench.run.ask import ask
from rbench.train.memory import VARIABLES

TIMEOUT = 1800.0
"""Seconds after which a process that measures one step is ended."""


class Point(BaseModel):
    """What a process is given.

    Attributes:
        plan: where to measure.
        case: what.
        memory: measure what it takes of memory; otherwise of time.
    """

    plan: Plan
    case: Case
    memory: bool = False


class Found(BaseModel):
    """What a process found.

    Attributes:
        status: how it ended.
        reason: in words, where there is no figure.
        extra_info: figures, as pytest-benchmark stores them.
        stats: of the seconds.
        environment: what it was measured with, as `rbench.run.provenance.cost_environment` finds it.
        provenance: software and hardware.
    """

    status: Literal["ok", "skipped", "out_of_memory", "timeout", "crashed"] = "ok"
    reason: str | None = None
    extra_info: dict[str, Any] = {}
    stats: dict[str, float] = {}
    environment: dict[str, str] = {}
    provenance: dict[str, Any] = {}


def measure_points(
    place: Place, most_seconds: float, directory: Path, kept: list[dict[str, Any]], say: Say
) -> dict[str, tuple[str, str]]:
    """Measure the cases of a place that are not among the entries kept; status and reason of those without a figure.

    A series, the cases of a method in a sweep, ends at the first that has no figure or takes more than the bound; those
    after it are skipped, and say why.

    Raises:
        ChangedError: the software changed since the place was made.
    """
    plan = place.plan
    failures: dict[str, tuple[str, str]] = {}
    stopped: dict[tuple[str, str], str] = {}
    for done, case in enumerate(plan.cases, start=1):
        series, entry = (case.sweep, case.method), entry_of(kept, case)
        if entry is None:
            found = _found(plan, case, stopped.get(series))
            if found.status == "ok":
                entry = {"extra_info": found.extra_info, "stats": found.stats}
                made_with = {"environment": found.environment, "provenance": found.provenance}
                store_entry(directory, place, case, entry, **made_with)
            else:
                drop_entry(directory, place, case)
                failures[str(case)] = (found.status, found.reason or "")
            say(f"[{done}/{len(plan.cases)}] {plan.backend} {plan.dtype} {case}: {_words(found)}", 1)
        else:
            say(f"[{done}/{len(plan.cases)}] {plan.backend} {plan.dtype} {case}: kept from an earlier run", 1)
        if case.sweep and series not in stopped:
            if entry is None:
                stopped[series] = f"{case.sweep} = {case.size:,} has no figure: {failures[str(case)][1]}"
            elif entry["stats"]["median"] > most_seconds:
                took = f"{entry['stats']['median']:.1f} s a step, above the bound of {most_seconds:g} s"
                stopped[series] = f"{case.sweep} = {case.size:,} took {took}"
    return failures


def _found(plan: Plan, case: Case, stopped: str | None) -> Found:
    if stopped is not None:
        return Found(status="skipped", reason=stopped)
    alone = plan.model_copy(update={"cases": ()})
    found = _asked(Point(plan=alone, case=case))
    if found.status != "ok":
        return found
    memory = _asked(Point(plan=alone, case=case, memory=True))
    if memory.status != "ok":
        return memory
    # What the later one was measured with is what is looked at: so a change in between is seen.
    return memory.model_copy(update={"extra_info": found.extra_info | memory.extra_info, "stats": found.stats})


def _asked(point: Point) -> Found:
    answer = ask(
        "rbench.cost.point_worker",
        point.model_dump_json(),
        threads=point.plan.threads,
        variables=VARIABLES if point.memory else None,
        timeout=TIMEOUT,
        backend=point.plan.backend,
        device=point.plan.device,
    )
    if answer.status != "ok":
        return Found(status=answer.status, reason=answer.reason)
    return Found.model_validate_json(answer.text)


def _words(found: Found) -> str:
    if found.status != "ok":
        return f"{found.status}: {found.reason}"
    peak = found.extra_info["peak_host_bytes"]
    memory = "" if peak is None else f", {peak / 2**20:.3g} MiB"
    return f"{1e3 * found.stats['median']:.3g} ms{memory}"
