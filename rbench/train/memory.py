"""Memory of a method's steps: predicted before the first, and measured in a separate pass, which is not timed."""

import ctypes
import gc
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median_low
from time import sleep

from pydantic import BaseModel

from rbench.errors import Skip
from rbench.modules import Params
from rbench.train.clock import arrays_of
from rbench.train.process import resident_bytes
from rbench.train.stepper import Stepper

SETTLE_SECONDS = 0.02
"""Time for a backend's threads to free what a step no longer needs, so that the next does not count it."""

STAGES = 3
"""Rounds in which allocations are counted."""

VARIABLES = {"PYTHONMALLOC": "malloc"}
"""The environment of a process whose memory is measured: a Python object counts as the bytes that it takes.

Python's own allocator takes an arena of 1 MiB whenever its last one is full, which may happen in any step.
"""


class Peaks(BaseModel):
    """Largest memory that a method's state and one step held at once beyond data, parameters and code, in bytes.

    Attributes:
        host: allocated in the process, by memray; None where memray does not run.
        resident: growth of the resident set at its peak, by the kernel, in another round of the same steps: a check on
            `host`; None where the kernel does not say.
        device: of the device's memory, by the backend's counters; None for the host's.
        skipped: why nothing was measured, where a step does not fit into memory.
    """

    host: int | None = None
    resident: int | None = None
    device: int | None = None
    skipped: str | None = None

    def figures(self) -> dict[str, int | None]:
        """The fields of a row."""
        return {f"peak_{name}_bytes": getattr(self, name) for name in ("host", "resident", "device")}


def check_memory(stepper: Stepper, params: Params, memory_limit: int | None = None) -> None:
    """Raise `Skip` where a step does not fit into memory, before it allocates any.

    `memory_limit` is in bytes that this process, and those of its group, may hold resident; a device's own memory does
    not count.
    """
    problem = stepper.problem
    batches = stepper.batches
    batch = batches(0)
    datum = batch._replace(x=batch.x[:1], y=batch.y[:1])
    needed, purpose = stepper.method.workspace_bytes(problem, params, datum, batches.batch_size)
    there = problem.backend.free_bytes()
    words = "are free"
    if memory_limit is not None and problem.backend.device_bytes() is None:
        left = max(0, memory_limit - resident_bytes(os.getpgrp()))
        if left < there:
            there = left
            words = "are left of the memory limit"
    if needed > there:
        raise Skip(f"would need {size_in_words(needed)} for {purpose}; {size_in_words(there)} {words}")


def step_peaks(stepper: Stepper, params: Params, total: int) -> Peaks:
    """Peaks of one step of each variant, from fresh state, in a fresh process that was started with `VARIABLES`.

    A first round, in which libraries compile and take the buffers that they keep, is not measured on the host. The
    median of the others counts: a library takes another buffer when two of its threads first work at once.
    """
    backend = stepper.problem.backend
    calls = [stepper.call(index, total) for index in stepper.variants(total)]

    def round_() -> None:
        state = stepper.start(params)
        for call in calls:
            result = call(params, state)
            backend.synchronize(arrays_of(result))
            state = result.state
            del result
            sleep(SETTLE_SECONDS)

    backend.synchronize()
    before = backend.device_bytes()
    round_()
    resident = _resident_growth(round_)
    counts = [count for _ in range(STAGES) if (count := _allocated(round_)) is not None]
    after = backend.peak_device_bytes()
    device = None if after is None or before is None else after - before
    return Peaks(host=median_low(counts) if counts else None, resident=resident, device=device)


def _allocated(function: Callable[[], None]) -> int | None:
    """Peak of memory that is allocated during a call and not yet freed, by any library."""
    try:
        import memray
    except ImportError:
        return None
    _tidy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "allocations"
        with memray.Tracker(path):
            function()
        return memray.FileReader(path).metadata.peak_memory


def _resident_growth(function: Callable[[], None]) -> int | None:
    """Growth of the resident set at its peak during a call; None where the system does not record it."""
    _tidy()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = _peak_resident()
        function()
        return _peak_resident() - before
    except (OSError, StopIteration):
        return None


def _peak_resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def _tidy() -> None:
    """Give freed memory back to the system, where possible."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def size_in_words(count: float) -> str:
    """A number of bytes in words."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"
