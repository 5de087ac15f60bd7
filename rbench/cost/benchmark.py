"""One cell measured by pytest-benchmark, and the files in its form that other tools read."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from rbench.errors import RbenchError
from rbench.experiment import Cell, Outcome
from rbench.run.record import Record, write_json

CELL = "RBENCH_CELL"
"""The environment variable that names the cell, as JSON, to the module of benchmarks."""


def benchmarked(cell: Cell, module: str, outcome: Outcome) -> None:
    """Measure a cell in this process by the one pytest-benchmark test of a module that is of the cell.

    Raises:
        Skip: the step does not fit into memory.
        RbenchError: the module has no benchmark of the cell.
    """
    from rbench.cost.reporter import measured

    os.environ[CELL] = cell.model_dump_json()
    entry = measured(module)
    settings = {*type(cell).model_fields, "libraries"} - {"device"}
    outcome.figures |= {name: value for name, value in entry["extra_info"].items() if name not in settings}
    names = {"step_seconds": "median", "step_seconds_low": "q1", "step_seconds_high": "q3", "rounds": "rounds"}
    outcome.figures |= {name: entry["stats"][its] for name, its in names.items()}
    outcome.attachment["benchmark"] = entry


def write_benchmarks(directory: Path, records: Sequence[Record], ending: str = "") -> None:
    """Write a file in pytest-benchmark's form for each suite, backend, dtype and device of records that ended `ok`.

    Their names end with `ending`.
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
