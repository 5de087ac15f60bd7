import math
from typing import ClassVar, Literal

from rbench import hookimpl
from rbench.experiment import Cell
from rbench.figures import Figure
from rbench.run import Suite

ERROR = Figure("relative_error", "result", "relative error", exact=True, compared="always")


class MyCell(Cell):
    summary: ClassVar[str] = "rounding in a sum of equal numbers"
    fields: ClassVar[tuple[str, ...]] = (
        "suite",
        "terms",
        "backend",
        "device",
        "dtype",
        "threads",
        "status",
        "reason",
        "relative_error",
    )
    figures: ClassVar[tuple[Figure, ...]] = (ERROR,)
    experiment: Literal["my-experiment"] = "my-experiment"
    terms: int  # each field is a setting of a cell

    @property
    def names(self):
        return self.name, str(self.terms), self.backend

    def run(self, backend, outcome, report, limits):
        numbers = backend.asarray([0.1] * self.terms)
        exact = math.fsum([float(backend.to_numpy(numbers[0]))] * self.terms)
        found = float(backend.to_numpy(backend.xp.sum(numbers)))
        outcome.figures["relative_error"] = abs(found / exact - 1)


class MySuite(Suite):
    name, summary, threads = "my-experiment", "sums of a thousand and of a million numbers", 1
    unused = ("tasks", "methods", "batch_size")

    def count(self, request):
        return 2

    def cells(self, request, platforms):
        return [
            MyCell(suite=self.name, terms=terms, backend=backend, dtype=dtype, device=device, threads=1)
            for backend, dtype, device in platforms
            for terms in (1_000, 1_000_000)
        ]


@hookimpl
def rbench_experiments():
    return [MyCell]


@hookimpl
def rbench_suites():
    return [MySuite()]
