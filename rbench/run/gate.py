"""The gate before a run: the short equivalence cases on a backend, in a process of their own."""

import shlex
import threading

from pydantic import BaseModel, ConfigDict

from rbench.errors import BackendError
from rbench.run.child_process import run_child
from rbench.run.reading import Count, Real

TIMEOUT = 600.0
"""Seconds after which a gate counts as failed."""


class Gate(BaseModel):
    """What the short equivalence cases found on a backend, at one dtype on one device.

    Attributes:
        backend: canonical SPEC.
        device: the backend's name of the device; None where it was never opened.
        dtype: the floating dtype.
        cases: how many were computed.
        misses: those outside of their tolerance, each in words.
        worst: largest relative error of those within it.
        errors: likewise of each check, with its name.
        seconds: how long they took.
        refused: why the backend is not available, or None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    backend: str
    device: str | None
    dtype: str
    cases: Count = 0
    misses: tuple[str, ...] = ()
    worst: Real | None = None
    errors: tuple[tuple[str, Real], ...] = ()
    seconds: Real = 0.0
    refused: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the backend may be timed."""
        return self.cases > 0 and not self.misses

    def __str__(self) -> str:
        """One line, as a run shows it."""
        name = f"equivalence gate, {self.backend} {self.dtype}" + (f" on {self.device}" if self.device else "")
        if self.passed:
            return f"{name}: {self.cases} cases passed, worst relative error {self.worst:.1e}"
        count = f"{len(self.misses)} of {self.cases} cases missed" if self.cases else "not passed"
        place = f"-b {shlex.quote(self.backend)} --dtype {self.dtype}" + (
            f" --device {self.device}" if self.device else ""
        )
        return f"{name}: {count}: {self.misses[0]}; rbench verify {place} shows all"


def gate(name: str, dtype: str, device: str | None, threads: int, stop: threading.Event | None = None) -> Gate:
    """Compute the short cases in a fresh process, so that a backend that crashes does not end the run.

    Raises:
        BackendError: the backend cannot run here.
        Stopped: `stop` was set.
    """
    words = [name, dtype, *([device] if device else [])]
    answer = run_child(
        "rbench.run.gate_worker",
        threads=threads,
        arguments=words,
        timeout=TIMEOUT,
        stop=stop,
        backend=name,
        device=device,
    )
    if answer.reason is not None:
        return Gate(backend=name, device=device, dtype=dtype, misses=(answer.reason,))
    found = Gate.model_validate_json(answer.text)
    if found.refused is not None:
        raise BackendError(found.refused)
    return found
