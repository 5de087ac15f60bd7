"""What a run that measures costs leaves in its directory: entries in pytest-benchmark's form, and `run.json`."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from rbench.cost.request import Case, CostRequest, Plan
from rbench.errors import DataError
from rbench.run.gate import Gate
from rbench.run.provenance import provenance
from rbench.run.record import write_json
from rbench.run.resume import ChangedError

COST_FIELDS = (
    "suite", "sweep", "size", "network", "batch_size", "method", "part", "sizes", "backend", "device", "dtype",
    "threads", "status", "reason", "rounds", "step_seconds", "step_seconds_low", "step_seconds_high",
    "step_ratio_to_sgd", "step_ratio_low", "step_ratio_high", "floor", "operations", "n_parameters",
    "compile_seconds", "peak_host_bytes", "peak_resident_bytes", "peak_device_bytes",
)  # fmt: skip
"""Fields of a row, in order; what does not apply is null. A row is of a method's step, or of a part of a step.

- `step_seconds` median over `rounds` of a synchronised step, or part, at the initial weights, with quartiles; where
  steps differ, a round is the mean of a cycle of them;
- `step_ratio_to_sgd` median of the ratio to a step of `sgd`, timed in turn with it in the same process, with quartiles;
- `floor` the ratio of `operations`, the step's multiply-add pairs, to those of a step of `sgd`;
- `sweep` what grows from row to row of a series, and `size` how large it is;
- `peak_host_bytes`, `peak_resident_bytes`, `peak_device_bytes` what the method's state and one step take at once beyond
  data and parameters; see `rbench.train.memory.Peaks`.
"""


class Place(BaseModel):
    """What was measured of a plan.

    Attributes:
        plan: what it was to measure.
        gate: what the equivalence cases found on its backend.
        environment: what its entries were measured with, as `rbench.run.provenance.cost_environment` finds it.
        failures: status and reason of the cases that have no figure, by what they are in words.
    """

    plan: Plan
    gate: Gate
    environment: dict[str, str] = {}
    failures: dict[str, tuple[str, str]] = {}

    def complete(self, directory: Path) -> bool:
        """Whether every case has its figure there."""
        found = entries(directory, self.plan)
        return not self.failures and all(entry_of(found, case) is not None for case in self.plan.cases)

    def unlike(self, now: dict[str, str]) -> list[str]:
        """What of an environment is not as its entries were measured with, in words: from that to this."""
        before = self.environment
        return [f"{name}: {before.get(name, 'none')} → {at}" for name, at in now.items() if before.get(name) != at]

    def rows(self, directory: Path) -> list[dict[str, Any]]:
        """A row with `COST_FIELDS` for each case, in the plan's order."""
        found, rows = entries(directory, self.plan), []
        for case in self.plan.cases:
            entry = entry_of(found, case)
            own = self.plan.model_dump(exclude={"cases"}) | {"device": self.gate.device} | case.model_dump()
            status, reason = self.failures.get(str(case), ("crashed", f"{self.plan.name}.json does not have it"))
            own |= {"status": status, "reason": reason} if entry is None else {"status": "ok", **_figures(entry)}
            rows.append({name: own.get(name) if own.get(name) != "" else None for name in COST_FIELDS})
        return rows

    def provenance(self, directory: Path) -> dict[str, Any]:
        """Software and hardware of the process; empty where it left none."""
        content = _content(directory, self.plan)
        found: dict[str, Any] = content.get("machine_info", {}).get("rbench", {})
        libraries: dict[str, str] = next(
            (entry["extra_info"]["libraries"] for entry in content.get("benchmarks", [])), {}
        )
        return {**found, "backend": libraries} if found else {}


def kind(directory: Path) -> Literal["training", "cost"] | None:
    """What run a directory holds, by its `run.json`; None for none that can be read."""
    try:
        content = json.loads((directory / "run.json").read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    return "cost" if "places" in content else "training" if "cells" in content else None


def places(directory: Path) -> list[Place]:
    """What the processes of a run measured; none where there is no run.

    Raises:
        DataError: `run.json` is of a run that measures costs, but damaged.
    """
    if kind(directory) != "cost":
        return []
    try:
        return [Place(**place) for place in json.loads((directory / "run.json").read_text())["places"]]
    except (OSError, ValueError, TypeError):
        raise DataError(f"{directory / 'run.json'} is damaged; run into another directory") from None


def write_places(directory: Path, request: CostRequest, found: list[Place]) -> None:
    """Store what has been measured so far, with the request and provenance."""
    content = {"request": request.model_dump(), "provenance": provenance()}
    write_json(directory / "run.json", {**content, "places": [place.model_dump() for place in found]})


def entries(directory: Path, plan: Plan) -> list[dict[str, Any]]:
    """What is stored under a plan's name, each entry in pytest-benchmark's form: `extra_info` and `stats`."""
    found: list[dict[str, Any]] = _content(directory, plan).get("benchmarks", [])
    return found


def entry_of(found: list[dict[str, Any]], case: Case) -> dict[str, Any] | None:
    """The entry of a case, or None."""
    names, usual = case.model_dump(), Case().model_dump()
    # What an entry does not say, as one from before there were sweeps, is as usual.
    return next((one for one in found if names.items() <= (usual | one["extra_info"]).items()), None)


def store_entry(
    directory: Path,
    place: Place,
    case: Case,
    entry: dict[str, Any],
    *,
    environment: dict[str, str],
    provenance: dict[str, Any],
) -> None:
    """Store the entry of a case in pytest-benchmark's form, in place of an earlier one of it.

    Args:
        directory: the run's.
        place: where it was measured.
        case: what was measured.
        entry: what was found.
        environment: what it was measured with.
        provenance: of the process that measured it; where entries were stored before, theirs stays.

    Raises:
        ChangedError: it was not measured with what the others were; it is not stored.
    """
    if changes := place.unlike(environment):
        raise ChangedError(
            f"{directory}: the software changed while the run went on ({'; '.join(changes)}); what was measured before "
            "is kept: undo the change and go on, name another directory with -o, or measure it again with --force"
        )
    first = _content(directory, place.plan).get("machine_info", {}).get("rbench", provenance)
    _write(directory, place.plan, [*_others(directory, place.plan, case), entry], first)


def drop_entry(directory: Path, place: Place, case: Case) -> None:
    """Take away an earlier entry of a case, if there is one."""
    others = _others(directory, place.plan, case)
    if len(others) < len(entries(directory, place.plan)):
        _write(directory, place.plan, others, _content(directory, place.plan)["machine_info"]["rbench"])


def drop_entries(directory: Path, plan: Plan) -> None:
    """Take away all that is stored under a plan's name."""
    _file(directory, plan).unlink(missing_ok=True)


def _others(directory: Path, plan: Plan, case: Case) -> list[dict[str, Any]]:
    return [one for one in entries(directory, plan) if entry_of([one], case) is None]


def _write(directory: Path, plan: Plan, found: list[dict[str, Any]], provenance: dict[str, Any]) -> None:
    write_json(_file(directory, plan), {"machine_info": {"rbench": provenance}, "benchmarks": found})


def _file(directory: Path, plan: Plan) -> Path:
    return directory / f"{plan.name}.json"


def _content(directory: Path, plan: Plan) -> dict[str, Any]:
    try:
        content = json.loads(_file(directory, plan).read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _figures(entry: dict[str, Any]) -> dict[str, Any]:
    stats, extra = entry["stats"], entry["extra_info"]
    seconds = {"step_seconds": stats["median"], "step_seconds_low": stats["q1"], "step_seconds_high": stats["q3"]}
    return {**extra, **seconds, "rounds": stats["rounds"]}
