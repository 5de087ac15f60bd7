"""A plugin with an experiment of its own: partial sums of 1/k², whose limit is π²/6; and a suite of its cells."""

import os
import time
from pathlib import Path
from typing import ClassVar, Literal

from rbench.experiment import Cell
from rbench.figures import Figure
from rbench.hookspecs import hookimpl
from rbench.run import Suite

FOLDER = Path(__file__).parent


TOTAL = Figure("total", "result", "total", better="lower", exact=True, compared="always")


class PartialSum(Cell):
    """Σ_k≤terms 1/k² on a backend."""

    summary: ClassVar[str] = "partial sums of 1/k²"
    fields: ClassVar[tuple[str, ...]] = (
        "suite", "terms", "backend", "device", "dtype", "threads", "status", "reason", "total",
    )  # fmt: skip
    figures: ClassVar[tuple[Figure, ...]] = (TOTAL,)
    experiment: Literal["partial-sum"] = "partial-sum"
    terms: int

    @property
    def names(self):
        return self.name, str(self.terms), self.backend

    def run(self, backend, outcome, report, limits):
        (FOLDER / f"pid-{os.getpid()}").touch()
        while self.terms == 1000 and not (FOLDER / "go").exists():
            time.sleep(0.01)
        if self.terms < 1:
            raise ValueError("a sum needs a term")
        k = backend.asarray([float(number) for number in range(1, self.terms + 1)])
        total = float(backend.to_numpy(backend.xp.sum(1 / k**2)))
        outcome.figures["total"] = total * float(os.environ.get("SUMS_FACTOR", "1"))


class Sums(Suite):
    name, summary, threads = "sums", "three partial sums, and one that cannot be", 1
    unused = ("tasks", "methods")
    TERMS = (10, 100, 1000, 0)

    def count(self, request):
        return len(self.TERMS)

    def cells(self, request, platforms):
        return [
            PartialSum(suite=self.name, terms=terms, backend=backend, dtype=dtype, device=device, threads=1)
            for backend, dtype, device in platforms
            for terms in self.TERMS
        ]


@hookimpl
def rbench_experiments():
    return [PartialSum]


@hookimpl
def rbench_suites():
    return [Sums()]
