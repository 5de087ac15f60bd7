"""What a run that measures costs leaves in its directory: entries in pytest-benchmark's form, and `run.json`."""

import os
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

from rbench.cost.request import Case, CostRequest, Plan
from rbench.errors import DataError
from rbench.figures import STEP_COST, fields
from rbench.run.declared import Provenance, with_figures
from rbench.run.directory import WAY_OUT
from rbench.run.gate import Gate
from rbench.run.provenance import provenance
from rbench.run.reading import Count, DamagedError, NewerError, Number, parsed, read_bytes, read_file, set_aside
from rbench.run.record import write_json
from rbench.run.resume import ChangedError
from rbench.run.run_file import kind

CASE_FIELDS = (
    "suite", "sweep", "size", "network", "batch_size", "method", "part", "sizes", "backend", "device", "dtype",
    "threads",
)  # fmt: skip
"""What a row is of: a method's step, or a part of one; `sweep` grows from row to row of a series, to `size`."""

COST_FIELDS = (*CASE_FIELDS, "status", "reason", "rounds", *fields(STEP_COST))
"""Fields of a row, in order; what does not apply is null. `rounds` are those that seconds are the median of."""


class Place(BaseModel):
    """What was measured of a plan.

    Attributes:
        plan: what it was to measure.
        gate: what the equivalence cases found on its backend.
        environment: what its entries were measured with, as `rbench.run.provenance.cost_environment` finds it.
        failures: status and reason of the cases that have no figure, by what they are in words.
    """

    model_config = ConfigDict(extra="forbid")
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
            status, reason = self.failures.get(str(case), ("crashed", _why_missing(directory, self.plan)))
            own |= {"status": status, "reason": reason} if entry is None else {"status": "ok", **_figures(entry)}
            rows.append({name: own.get(name) if own.get(name) != "" else None for name in COST_FIELDS})
        return rows

    def provenance(self, directory: Path) -> dict[str, Any]:
        """Software and hardware of the process; empty where it left none."""
        found, there = _known(directory, self.plan), entries(directory, self.plan)
        libraries = there[0]["extra_info"].get("libraries", {}) if there else {}
        return {**found, "backend": libraries} if found else {}


class _Facts(BaseModel):
    """`extra_info` of an entry; other tools may add to it."""

    model_config = ConfigDict(extra="allow")
    network: str = ""
    batch_size: Count = 0
    method: str = ""
    part: str = ""
    sweep: str = ""
    size: Count = 0
    sizes: str | None = None
    device: str | None = None
    threads: Count | None = None
    libraries: dict[str, str] = {}


class _Stats(BaseModel):
    model_config = ConfigDict(extra="allow")
    median: Number
    q1: Number
    q3: Number
    rounds: Number


class _Entry(BaseModel):
    model_config = ConfigDict(extra="allow")
    extra_info: with_figures(_Facts, STEP_COST)  # type: ignore[valid-type]
    stats: _Stats


class _Machine(BaseModel):
    model_config = ConfigDict(extra="allow")
    rbench: Provenance = {}


class _EntriesFile(BaseModel):
    """A file of entries, in pytest-benchmark's form."""

    model_config = ConfigDict(extra="allow")
    machine_info: _Machine = _Machine()
    benchmarks: list[_Entry]


class CostFile(BaseModel):
    """The content of `run.json`.

    Attributes:
        request: what was asked for last.
        provenance: software and hardware of the process that it was given to.
        places: what was measured, a plan each.
    """

    model_config = ConfigDict(extra="forbid")
    request: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    places: list[Place]


def places(directory: Path) -> list[Place]:
    """What the processes of a run measured; none where there is no run.

    Raises:
        DataError: `run.json` is of a run that measures costs, but damaged, or of a newer version.
    """
    if kind(directory) != "cost":
        return []
    try:
        return read_file(directory / "run.json", CostFile).places
    except NewerError as error:
        raise NewerError(f"{error}; use that version, or run into another directory") from None
    except (FileNotFoundError, DamagedError) as error:
        raise DataError(f"{directory / 'run.json'} is damaged; run into another directory ({error})") from None


def write_places(directory: Path, request: CostRequest, found: list[Place]) -> None:
    """Store what has been measured so far, with the request and provenance."""
    content = {"request": request.model_dump(), "provenance": provenance()}
    write_json(directory / "run.json", {**content, "places": [place.model_dump() for place in found]})


def entries(directory: Path, plan: Plan) -> list[dict[str, Any]]:
    """What is stored under a plan's name, each entry in pytest-benchmark's form: `extra_info` and `stats`."""
    content = _content(directory, plan)
    return [] if content is None else list(content["benchmarks"])


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
            f"is kept: undo the change and go on, {WAY_OUT}, or measure it again with --force"
        )
    first = _known(directory, place.plan) or provenance
    _write(directory, place.plan, [*_others(directory, place.plan, case), entry], first)


def drop_entry(directory: Path, place: Place, case: Case) -> None:
    """Take away an earlier entry of a case, if there is one."""
    others = _others(directory, place.plan, case)
    if len(others) < len(entries(directory, place.plan)):
        _write(directory, place.plan, others, _known(directory, place.plan))


def set_damaged_aside(directory: Path, plan: Plan) -> str | None:
    """Rename the file of a plan's entries where it is damaged; what was done, in words.

    Raises:
        OSError: it cannot be renamed.
    """
    path = _file(directory, plan)
    if _content(directory, plan) is not None or not os.path.lexists(path):
        return None
    return f"{path} is damaged: it is now {set_aside(path).name}, and what it held is measured again"


def drop_entries(directory: Path, plan: Plan) -> None:
    """Take away all that is stored under a plan's name."""
    _file(directory, plan).unlink(missing_ok=True)


def _others(directory: Path, plan: Plan, case: Case) -> list[dict[str, Any]]:
    return [one for one in entries(directory, plan) if entry_of([one], case) is None]


def _write(directory: Path, plan: Plan, found: list[dict[str, Any]], provenance: dict[str, Any]) -> None:
    write_json(_file(directory, plan), {"machine_info": {"rbench": provenance}, "benchmarks": found})


def _file(directory: Path, plan: Plan) -> Path:
    return directory / f"{plan.name}.json"


def _content(directory: Path, plan: Plan) -> dict[str, Any] | None:
    """What the file of a plan's entries holds; None where there is none, or it is damaged."""
    path = _file(directory, plan)
    try:
        text = read_bytes(path)
        parsed(text, _EntriesFile, path)
    except (OSError, DataError):
        return None
    content: dict[str, Any] = from_json(text)
    return content


def _known(directory: Path, plan: Plan) -> dict[str, Any]:
    """Software and hardware that the file of a plan's entries names; empty where it names none."""
    content = _content(directory, plan)
    known: dict[str, Any] = {} if content is None else content.get("machine_info", {}).get("rbench", {})
    return known


def _why_missing(directory: Path, plan: Plan) -> str:
    path = _file(directory, plan)
    damaged = os.path.lexists(path) and _content(directory, plan) is None
    return f"{path.name} is damaged" if damaged else f"{path.name} does not have it"


def _figures(entry: dict[str, Any]) -> dict[str, Any]:
    stats, extra = entry["stats"], entry["extra_info"]
    seconds = {"step_seconds": stats["median"], "step_seconds_low": stats["q1"], "step_seconds_high": stats["q3"]}
    return {**extra, **seconds, "rounds": stats["rounds"]}
