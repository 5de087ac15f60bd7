"""Records: one JSON file a cell, written to a temporary name and renamed, with a sum of what it holds."""

import hashlib
import json
import math
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel

from rbench.run.gate import Gate
from rbench.run.tuned import Tuned
from rbench.train.cell import Cell

Status: TypeAlias = Literal["ok", "diverged", "out_of_memory", "timeout", "crashed", "skipped"]

FINAL: tuple[Status, ...] = ("ok", "diverged")
"""What a resumed run does not repeat; the others may end differently on another day."""

FIELDS = (
    "suite", "task", "method", "backend", "device", "dtype", "threads", "seed", "fixed", "budget", "status", "reason",
    "steps", "train_loss", "test_loss", "test_accuracy", "test_squared_error", "step_seconds", "step_ratio_to_sgd",
    "compile_seconds", "train_seconds", "seconds_to_target", "steps_to_target", "target_reached", "peak_host_bytes",
    "peak_resident_bytes", "peak_device_bytes", "n_parameters", "dataset_sha256", "dataset_official",
)  # fmt: skip
"""Fields of a table row, in order. Losses are means over the data; seconds are wall time; what does not apply is null:

- `fixed` what is random, and yet the same at every seed: such as `order, weights`;
- `steps` updates made; `train_seconds` their wall time, without data, warm-up and evaluation;
- `train_loss` over the first 10,000 training data; `test_squared_error` ‖prediction − y‖² a datum;
- `step_seconds` median of a synchronised step at the initial weights; `step_ratio_to_sgd` median of its ratio to a step
  of `sgd` with default settings, timed in turn with it in the same process; steps that differ count by their share;
- `target_reached` whether an evaluation met the task's target; `seconds_to_target` and `steps_to_target` training time
  and steps at the first that did;
- `peak_host_bytes`, `peak_resident_bytes`, `peak_device_bytes` what the method's state and one step take at once beyond
  data and parameters, measured in a process of its own; see `rbench.train.memory.Peaks`.
"""


class Assignment(BaseModel):
    """What a worker is given.

    Attributes:
        cell: what to run.
        gate: what the equivalence cases found on its backend; it goes into the record.
        memory_limit: bytes that it may hold resident, or None.
        checksum: that its data must have, or None.
    """

    cell: Cell
    gate: Gate | None = None
    memory_limit: int | None = None
    checksum: str | None = None


class Record(BaseModel):
    """What became of a cell.

    Attributes:
        cell: what was run.
        status: how it ended.
        reason: in words, where it did not end `ok`.
        figures: fields of the row, by name.
        history: evaluations: step, seconds, figures.
        provenance: software and hardware.
        environment: what two records must have in common to stand beside each other, as
            `rbench.run.provenance.environment` finds it.
        gate: what the equivalence cases found on the cell's backend before it ran.
        tuning: the search that the method's settings come from; None where no file of `rbench tune` has them.
    """

    cell: Cell
    status: Status
    reason: str | None = None
    figures: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    provenance: dict[str, Any] = {}
    environment: dict[str, str] = {}
    gate: Gate | None = None
    tuning: Tuned | None = None

    def row(self) -> dict[str, Any]:
        """The record as a table row with `FIELDS`."""
        own = {**self.cell.model_dump(), **self.figures, "budget": str(self.cell.budget)}
        own |= {"status": self.status, "reason": self.reason, "fixed": ", ".join(self.cell.fixed) or None}
        if (seconds := own.get("seconds_to_target")) is not None:
            at_target = (point["step"] for point in self.history if point["seconds"] == seconds)
            own["steps_to_target"] = next(at_target, None)
        return {name: own.get(name) for name in FIELDS}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file so that it is either whole or not there, even if the machine stops in between."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w") as file:
            json.dump(plain(content), file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    with suppress(OSError):  # the new name; not every file system can
        os.fsync(folder)
    os.close(folder)


def cells_folder(directory: Path) -> Path:
    """Where the records of a run are."""
    return directory / "cells"


def write_record(directory: Path, record: Record) -> None:
    """Store a record under its cell's key, in place of an earlier one, which is there until then."""
    folder = cells_folder(directory)
    folder.mkdir(parents=True, exist_ok=True)
    content = json.loads(json.dumps(plain(record.model_dump())))  # as it will be read
    write_json(folder / f"{record.cell.key}.json", {"sha256": _sum(content), **content})


def read_record(directory: Path, cell: Cell) -> Record | None:
    """The record of a cell; None where there is none, or it is damaged."""
    try:
        record = _read(cells_folder(directory) / f"{cell.key}.json")
    except (OSError, ValueError):
        return None
    return record if record.cell == cell else None


def read_records(directory: Path) -> tuple[list[Record], list[Path]]:
    """All records of a run's directory in order of file name, and the files that are damaged."""
    records, damaged = [], []
    for path in sorted(cells_folder(directory).glob("*.json")):
        try:
            records.append(_read(path))
        except (OSError, ValueError):
            damaged.append(path)
    return records, damaged


def _read(path: Path) -> Record:
    """The record of a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged: no JSON, no record, or not what its sum is of.
    """
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no record")
    claimed = content.pop("sha256", None)
    earlier = claimed is None and "environment" not in content  # from before there were sums
    if not earlier and claimed != _sum(content):
        raise ValueError(f"{path} does not hold what was written")
    return Record.model_validate(content)


def _sum(content: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON: keys sorted, no spaces, ASCII."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Strict JSON: what is not finite becomes null."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
