"""The gate before a run: the short equivalence cases on a backend, in a process of their own."""

import os
import subprocess
import sys

from pydantic import BaseModel, ConfigDict

from rbench.errors import BackendError
from rbench.run.threads import thread_variables

REFUSED = 2
"""Exit status of the gate's process where the backend cannot be had."""

TIMEOUT = 600.0
"""Seconds after which a gate counts as failed."""


class Gate(BaseModel):
    """What the short equivalence cases found on a backend, at one dtype on one device.

    Attributes:
        backend: registered name.
        device: the backend's name of the device.
        dtype: the floating dtype.
        cases: how many were computed.
        misses: those outside of their tolerance, each in words.
        worst: largest relative error of those within it.
        seconds: how long they took.
    """

    model_config = ConfigDict(frozen=True)
    backend: str
    device: str
    dtype: str
    cases: int = 0
    misses: tuple[str, ...] = ()
    worst: float | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the backend may be timed."""
        return not self.misses

    def __str__(self) -> str:
        """One line, as it stands beside a run."""
        name = f"equivalence gate, {self.backend} {self.dtype} on {self.device}"
        if self.passed:
            return f"{name}: {self.cases} cases passed, worst relative error {self.worst:.1e}"
        count = f"{len(self.misses)} of {self.cases} cases missed" if self.cases else "not passed"
        return f"{name}: {count}: {self.misses[0]}; rbench verify -b {self.backend} --dtype {self.dtype} shows all"


def gate(name: str, dtype: str, device: str | None, threads: int) -> Gate:
    """Compute the short cases in a fresh process, so that a backend that takes its process down takes no run with it.

    Raises:
        BackendError: the backend cannot run here.
    """
    words = [sys.executable, "-P", "-m", "rbench.run.gate_worker", name, dtype, *([device] if device else [])]
    failed = Gate(backend=name, device=device or "its default device", dtype=dtype)
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
            env={**os.environ, **thread_variables(threads)},
        )
    except subprocess.TimeoutExpired:
        return failed.model_copy(update={"misses": (f"the gate did not end within {TIMEOUT:g} s",)})
    lines = done.stderr.strip().splitlines()
    if done.returncode == 0:
        return Gate.model_validate_json(done.stdout.splitlines()[-1])
    if done.returncode == REFUSED:
        raise BackendError(done.stderr.strip())
    why = f"the gate's process ended with status {done.returncode}: {lines[-1] if lines else 'no output'}"
    return failed.model_copy(update={"misses": (why,)})
