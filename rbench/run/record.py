"""Records: one JSON file per cell, written under a temporary name and renamed, with checksums of its content."""

import hashlib
import json
import math
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

from rbench.errors import DataError
from rbench.experiment import AnyCell, Cell
from rbench.run.child_process import Started
from rbench.run.declared import Figures, History, Provenance
from rbench.run.gate import Gate
from rbench.run.reading import DamagedError, NewerError, Real, parsed, read_bytes
from rbench.run.tuned import Tuned
from rbench.train.cell import Training

Status: TypeAlias = Literal["ok", "diverged", "out_of_memory", "timeout", "crashed", "skipped"]

FINAL: tuple[Status, ...] = ("ok", "diverged")
"""Cells that ended so are not repeated by a resumed run; others may end differently next time."""


class Assignment(BaseModel):
    """A worker's assignment.

    Attributes:
        cell: what to run.
        gate: what the equivalence cases found on its backend; it goes into the record.
        memory_limit: bytes that it may hold resident, or None.
        checksum: required of its data, or None.
    """

    cell: AnyCell
    gate: Gate | None = None
    memory_limit: int | None = None
    checksum: str | None = None


class Record(BaseModel):
    """How a cell ended, and what it measured.

    Attributes:
        cell: what was run.
        status: how it ended.
        reason: why it did not end `ok`.
        figures: fields of the row, by name.
        history: evaluations: step, seconds, figures.
        attachment: what `Cell.publish` needs beside the figures.
        provenance: software and hardware.
        environment: what two records must share to appear in one table, as `rbench.run.provenance.environment` finds
            it.
        gate: what the equivalence cases found on the cell's backend before it ran.
        tuning: the search that found the method's settings; None where `rbench tune` did not.
        memory_status: how the memory pass ended; None where none was requested.
        memory_reason: why it did not end `ok`.
        started: whether the cell's process was forked from a server or started afresh; None where there was no process.
        wall_seconds: from the start of its process to its record, the memory pass included; None where there was no
            process, and in records of versions that did not note it.
    """

    cell: AnyCell
    status: Status
    reason: str | None = None
    figures: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    attachment: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    environment: dict[str, str] = {}
    gate: Gate | None = None
    tuning: Tuned | None = None
    memory_status: Status | None = None
    memory_reason: str | None = None
    started: Started | None = None
    wall_seconds: float | None = None

    @property
    def training(self) -> Training:
        """The cell, where the record is known to be of training."""
        return cast(Training, self.cell)

    def row(self) -> dict[str, Any]:
        """The record as a table row, with the fields of its experiment."""
        own = {**self.cell.row(self.figures, self.history), "status": self.status, "reason": self.reason}
        own["memory_reason"] = self.memory_reason
        return {name: own.get(name) for name in self.cell.fields}


def refused(cell: Cell, reason: str, gate: Gate | None, environment: dict[str, str]) -> Record:
    """The record of a cell that is not run."""
    return Record(cell=cell, status="skipped", reason=reason, gate=gate, environment=environment)


class _Stored(Record):
    """A record as its file holds it."""

    model_config = ConfigDict(extra="forbid")
    sha256: str | None = None
    text_sha256: str | None = None
    figures: Figures = {}
    history: History = []
    provenance: Provenance = {}
    wall_seconds: Real | None = None


_HEAD = re.compile(rb'\{\n "sha256": "[0-9a-f]{64}",\n "text_sha256": "([0-9a-f]{64})",\n')
"""How a record's file begins. `text_sha256` is the sum of the bytes that follow and is quick to check; `sha256` is the
sum of the content, however it is formatted, for files that another tool wrote."""


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file so that it is either whole or not there, even if the machine stops in between."""
    write_text(path, json.dumps(plain(content), indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file as `write_json` does."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    with suppress(OSError):  # keeps the new name; not every file system can
        os.fsync(folder)
    os.close(folder)


def cells_folder(directory: Path) -> Path:
    """The folder of a run's records."""
    return directory / "cells"


def write_record(directory: Path, record: Record) -> None:
    """Store a record under its cell's key, in place of an earlier one, which stays until then."""
    folder = cells_folder(directory)
    folder.mkdir(parents=True, exist_ok=True)
    content = from_json(json.dumps(plain(record.model_dump())))  # as it will be read
    body = json.dumps(content, indent=1).removeprefix("{\n") + "\n"
    text_sum = hashlib.sha256(body.encode()).hexdigest()
    head = f' "sha256": "{_sum({"text_sha256": text_sum, **content})}",\n "text_sha256": "{text_sum}",\n'
    write_text(folder / f"{record.cell.key}.json", "{\n" + head + body)


def read_record(directory: Path, cell: Cell) -> Record | None:
    """The record of a cell; None where no readable one exists."""
    try:
        record = _read(cells_folder(directory) / f"{cell.key}.json")
    except (OSError, ValueError, DamagedError, NewerError):
        return None
    return record if record.cell == cell else None


class Found(NamedTuple):
    """What the directory of a run holds, in order of file name.

    Attributes:
        records: the whole ones.
        damaged: damaged files.
        newer: files of newer versions, each with a message that names the version.
    """

    records: list[Record]
    damaged: list[Path]
    newer: dict[Path, str]


def read_records(directory: Path) -> tuple[list[Record], list[Path]]:
    """All records of a run's directory in order of file name, and the files that are damaged."""
    found = find(directory)
    return found.records, found.damaged


def find(directory: Path) -> Found:
    """All records of a run's directory, whole, damaged or newer.

    Raises:
        DataError: the folder of the records cannot be read.
    """
    found = Found([], [], {})
    for path in record_files(directory):
        try:
            found.records.append(_read(path))
        except FileNotFoundError:  # another process has just taken it away
            if path.is_symlink():
                found.damaged.append(path)
        except NewerError as error:
            found.newer[path] = str(error)
        except (OSError, DamagedError):
            found.damaged.append(path)
    return found


def record_files(directory: Path) -> list[Path]:
    """The files of a run's records, in order of name; none where it has no folder for them.

    Raises:
        DataError: the folder cannot be read.
    """
    folder = cells_folder(directory)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json") and not name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}; it holds the records of a run") from None
    return [folder / name for name in names]


def _read(path: Path) -> Record:
    """The record of a file.

    Raises:
        OSError: the file cannot be read.
        DamagedError: it is not JSON or no record, or does not match its sums.
        NewerError: a newer version wrote it.
    """
    return parse_record(read_bytes(path), path)


def parse_record(text: bytes, path: Path) -> Record:
    """The record of a file's content; `path` is for messages.

    Raises:
        DamagedError: it is not JSON or no record, or does not match its sums.
        NewerError: a newer version wrote it.
    """
    head = _HEAD.match(text)
    if head is None or hashlib.sha256(memoryview(text)[head.end() :]).hexdigest() != head[1].decode():
        _check_content(text, path)
    stored = dict(parsed(text, _Stored, path))
    return Record.model_construct(**{name: stored[name] for name in Record.model_fields})


def _check_content(text: bytes, path: Path) -> None:
    """Check the sum of a file's content, however it is formatted.

    Raises:
        DamagedError: the content does not match the sum.
    """
    try:
        content = from_json(text)
    except ValueError as error:
        raise DamagedError(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise DamagedError(f"{path} holds no record")
    if content.pop("sha256", None) != _sum(content):
        raise DamagedError(f"{path} does not hold what was written")


def _sum(content: dict[str, Any]) -> str:
    """SHA-256 of the canonical JSON: keys sorted, no spaces, ASCII."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plain(value: Any) -> Any:
    """Data for strict JSON: numbers that are not finite become null, and lone surrogates their escapes."""
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, str) and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
