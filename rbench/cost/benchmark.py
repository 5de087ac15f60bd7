"""One cell measured by pytest-benchmark, and the files in its form that other tools read."""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rbench.errors import RbenchError
from rbench.experiment import Cell, Outcome
from rbench.run.record import Record, write_json

CELL = "RBENCH_CELL"
"""The environment variable that names the cell, as JSON, to the module of benchmarks."""


def benchmarked(cell: Cell, module: str, outcome: Outcome) -> None:
    """Measure a cell by pytest-benchmark in this process.

    Args:
        cell: what to measure.
        module: name of a module of pytest-benchmark tests, one of which measures the cell.
        outcome: filled.

    Raises:
        Skip: the step does not fit into memory.
        RbenchError: the module has no benchmark of the cell.
    """
    from rbench.cost.reporter import measured

    os.environ[CELL] = cell.model_dump_json()
    with tempfile.TemporaryDirectory(prefix="rbench-") as scratch:
        entry = measured(module, scratch)
    stats, found = entry["stats"], dict(entry["extra_info"])
    own = {*type(cell).model_fields, "libraries"}
    outcome.figures |= {name: value for name, value in found.items() if name not in own or name == "device"}
    outcome.figures |= {"step_seconds": stats["median"], "rounds": stats["rounds"]}
    outcome.figures |= {"step_seconds_low": stats["q1"], "step_seconds_high": stats["q3"]}
    outcome.attachment["benchmark"] = entry


def write_benchmarks(directory: Path, records: Sequence[Record], ending: str = "") -> None:
    """Write a file in pytest-benchmark's form for each suite, backend, dtype and device of records that ended `ok`.

    Args:
        directory: the folder for the files.
        records: what was measured.
        ending: end of the files' names.
    """
    files: dict[str, list[Record]] = {}
    for record in records:
        if "benchmark" in record.attachment:
            files.setdefault(f"{_name(record.cell)}{ending}.json", []).append(record)
    for name, own in files.items():
        entries = [record.attachment["benchmark"] for record in own]
        write_json(directory / name, {"machine_info": {"rbench": own[0].provenance}, "benchmarks": entries})


def _name(cell: Cell) -> str:
    dtype = "" if cell.dtype == "float32" else cell.dtype
    words = " ".join([cell.suite, cell.backend, dtype, cell.device or ""])
    return "-".join(re.findall(r"[A-Za-z0-9._-]+", words))


def check_installed() -> None:
    """Raise where pytest-benchmark is not installed.

    Raises:
        RbenchError: it is not; the message says how to install it.
    """
    import importlib.util

    if importlib.util.find_spec("pytest_benchmark") is None:
        raise RbenchError("step times are measured with pytest-benchmark; pip install 'rbench[bench]'")
