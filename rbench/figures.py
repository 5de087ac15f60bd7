"""What runs measure: each figure is declared once, for records, frames, tables, comparisons, tunes and plots.

To add a figure, declare it in the tuple of its kind of experiment, and compute it where that experiment runs.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

Measured: TypeAlias = Literal["time", "result", "memory", "size"]


@dataclass(frozen=True)
class Unit:
    """How the numbers of a figure are shown.

    Attributes:
        symbol: written after the figure's title.
        factor: from the number in a record to the number shown.
        decimals: number of decimals; None for three significant digits.
    """

    symbol: str = ""
    factor: float = 1
    decimals: int | None = None

    def write(self, value: float) -> str:
        """A number of a record as text, without the symbol; infinity is `never`."""
        value = self.factor * value
        return significant(value) if self.decimals is None or math.isinf(value) else f"{value:.{self.decimals}f}"


NUMBER = Unit()
RATIO = Unit(decimals=2)
PERCENT = Unit("%", 100, 2)
STEPS = Unit("steps", decimals=0)
SECONDS = Unit("s")
MILLISECONDS = Unit("ms", 1e3)
MIB = Unit("MiB", 2.0**-20)


@dataclass(frozen=True)
class Figure:
    """A number that a run measures.

    Attributes:
        name: its field in records and rows; seconds and bytes unless the name says otherwise.
        measures: its kind; comparisons are in the order of time, results and memory.
        title: what tables call it, without its unit; empty where no table has it.
        unit: how it is shown.
        better: the better direction, or None. `higher` is for shares of 1, such as an accuracy.
        whole: whether it is a whole number.
        exact: whether a repeat gives the same value, but for the rounding of other libraries. Then one pair of records
            suffices to call it worse, if beyond the square of the threshold; for other figures one pair says nothing.
        compared: whether runs are compared in it: always, when asked, or never. Seconds only when asked: a machine that
            is slow throughout one of two runs is slow at every seed. Ratios of times taken in turn are always compared.
        ratio_title: what comparisons call it; empty for its head in tables.
        judges: rank, from 1 on, among the figures that judge a task, which uses the first that it has; 0 for none.
        until_target: whether it counts until the task's target is met, infinite if that was missed.
        quartiles: fields of a row that hold its quartiles, where it has them.
    """

    name: str
    measures: Measured
    title: str = ""
    unit: Unit = NUMBER
    better: Literal["lower", "higher"] | None = "lower"
    whole: bool = False
    exact: bool = False
    compared: Literal["always", "when asked", "never"] = "never"
    ratio_title: str = ""
    judges: int = 0
    until_target: bool = False
    quartiles: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """The heading of its column."""
        return f"{self.title} {self.unit.symbol}".rstrip()

    @property
    def sign(self) -> int:
        """1 where lower is better, −1 where higher is."""
        return -1 if self.better == "higher" else 1

    def minimised(self, value: Any) -> Any:
        """What tunes minimise and comparisons take ratios of: 1 − accuracy for an accuracy, say."""
        return 1 - value if self.better == "higher" else value


def significant(value: float) -> str:
    """Three significant digits, `never` for infinity."""
    if math.isinf(value):
        return "never"
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        digits = 2 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:.{digits}f}"
    return f"{value:.2e}"


def fields(figures: Iterable[Figure]) -> tuple[str, ...]:
    """The fields of a row that hold figures, in order."""
    return tuple(field for figure in figures for field in (figure.name, *figure.quartiles))


def judging(figures: Iterable[Figure]) -> list[Figure]:
    """The figures that judge a task, in order; a task uses the first that it has."""
    return sorted((figure for figure in figures if figure.judges), key=lambda figure: figure.judges)


def columns(figures: Iterable[Figure]) -> list[Figure]:
    """The figures of a table in the order of its columns: those that judge a task come first."""
    return sorted((figure for figure in figures if figure.title), key=lambda figure: figure.judges or math.inf)


def compared(figures: Iterable[Figure]) -> list[Figure]:
    """The figures that runs may be compared in: time, results, memory; of each, those that always are come first."""
    kinds: tuple[Measured, ...] = ("time", "result", "memory", "size")
    chosen = (figure for figure in figures if figure.compared != "never")
    return sorted(chosen, key=lambda one: (kinds.index(one.measures), one.compared == "when asked", one.judges))


STEP_SECONDS = Figure("step_seconds", "time", "step", MILLISECONDS, compared="when asked", ratio_title="step s")
"""Median of a synchronised step at the initial weights; steps that differ count by their share."""

STEP_RATIO = Figure("step_ratio_to_sgd", "time", "step / SGD", RATIO, compared="always")
"""Derived: median ratio of a step's seconds to those of a step of `sgd` with its default settings, timed in turn with
it in the same process; steps that differ count by their share."""

COMPILE_SECONDS = Figure("compile_seconds", "time")
"""Time of the first calls beyond that of later ones, if the backend compiles."""

SECONDS_TO_TARGET = Figure("seconds_to_target", "time", "to target", SECONDS, compared="when asked", until_target=True)
"""Training seconds at the first evaluation that met the task's target."""

TRAIN_SECONDS = Figure("train_seconds", "time", "train", SECONDS, compared="when asked")

N_PARAMETERS = Figure("n_parameters", "size", better=None, whole=True, exact=True)

PEAK_HOST = Figure(
    "peak_host_bytes", "memory", "peak host", MIB, exact=True, compared="always", ratio_title="peak host"
)

MEMORY = (
    PEAK_HOST,
    Figure("peak_resident_bytes", "memory", unit=MIB, exact=True),
    Figure("peak_device_bytes", "memory", "peak device", MIB, exact=True, compared="always", ratio_title="peak device"),
)
"""Memory that the method's state and one step take at once beyond data and parameters; see
`rbench.train.memory.Peaks`."""

TRAINING = (
    Figure("steps", "size", better=None, whole=True),
    Figure("train_loss", "result", "train loss", exact=True),
    Figure("test_loss", "result", "test loss", exact=True, compared="always", judges=3),
    Figure(
        "test_accuracy", "result", "test accuracy", PERCENT, "higher",
        compared="always", ratio_title="test error", judges=1,
    ),
    Figure("test_squared_error", "result", "test squared error", exact=True, compared="always", judges=2),
    STEP_SECONDS,
    STEP_RATIO,
    COMPILE_SECONDS,
    TRAIN_SECONDS,
    SECONDS_TO_TARGET,
    Figure("steps_to_target", "time", "to target", STEPS, compared="when asked", until_target=True),
    *MEMORY,
    N_PARAMETERS,
)  # fmt: skip
"""Figures of a training run. Losses are means over the data; seconds are wall time:

- `steps` updates made; `train_seconds` their time, without data, warm-up and evaluation;
- `train_loss` over the first 10,000 training data; `test_squared_error` ‖prediction − y‖² per datum;
- `steps_to_target` derived: steps at the evaluation of `seconds_to_target`.
"""

STEP_PARTS = tuple(
    Figure(f"{part}_seconds", "time", unit=MILLISECONDS) for part in ("forward", "pullback", "metric", "solve", "apply")
)
"""The parts of a method's step, which add up to it: see `rbench.cost.breakdown`."""

STEP_COST = (
    replace(STEP_SECONDS, quartiles=("step_seconds_low", "step_seconds_high")),
    replace(STEP_RATIO, title="over sgd", ratio_title=STEP_RATIO.head, quartiles=("step_ratio_low", "step_ratio_high")),
    Figure("floor", "size", "floor", RATIO, exact=True),
    Figure("operations", "size", exact=True),
    N_PARAMETERS,
    COMPILE_SECONDS,
    *(replace(figure, title=figure.name.split("_")[1]) for figure in MEMORY),  # host, resident, device
    *STEP_PARTS,
)
"""Figures of the cost of a step, or of a part of one, whether a suite measures time, memory or a scaling sweep:

- `step_seconds` median over the rounds; where steps differ, a round is the mean of a cycle of them;
- `operations` multiply-add pairs of a step; `floor` derived: their ratio to those of a step of `sgd`.
"""
