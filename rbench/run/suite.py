"""What a suite is: of training, tasks, the methods that are compared on each, and a budget; of costs, what is timed."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One task of a suite and the methods that are compared on it.

    Attributes:
        task: SPEC of the task.
        methods: SPECs of the methods, with the settings that were found for them.
        epochs: budget, the task's default if None.
    """

    task: str
    methods: tuple[str, ...]
    epochs: int | None = None


@dataclass(frozen=True)
class Suite:
    """What `rbench run NAME` runs where its options do not say otherwise.

    Attributes:
        name: the registered name.
        summary: one line for `rbench list`.
        entries: tasks and their methods.
        seeds: how many seeds, from 0 on.
        threads: of the numerical libraries for each cell; all cores if None.
        tuning: how the methods' settings were found; it stands under the table.
        tuned: a file that `rbench tune` wrote; its settings take the place of the entries' own, task by task and method
            by method.
    """

    name: str
    summary: str
    entries: tuple[Entry, ...]
    seeds: int = 1
    threads: int | None = None
    tuning: str = ""
    tuned: Path | None = None


@dataclass(frozen=True)
class Sweep:
    """Steps while one size grows.

    Attributes:
        size: what grows: `n`, the parameters; `d`, the outputs; `batch`; or `depth`, the layers.
        networks: names of networks, as `rbench.cost.network` takes them, smallest first.
        batch_sizes: data a batch, smallest first.
    """

    size: str
    networks: tuple[str, ...]
    batch_sizes: tuple[int, ...]


@dataclass(frozen=True)
class CostSuite:
    """What `rbench run NAME` measures without training, where its options do not say otherwise.

    Attributes:
        name: the registered name.
        summary: one line for `rbench list`.
        methods: SPECs of the methods.
        networks: names of networks, as `rbench.cost.network` takes them.
        batch_sizes: data a batch.
        sweeps: what grows, in place of networks and batch sizes.
        parts: names of parts of a step that are measured apart.
        benchmarks: the module of pytest-benchmark tests that measures; `rbench.cost.step_time_benchmarks` is one. Where
            it is empty, each step is measured in a process of its own, its memory too.
        most_seconds: of a step, after which a sweep measures no larger one.
        threads: of the numerical libraries; all cores if None.
    """

    name: str
    summary: str
    methods: tuple[str, ...]
    networks: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = ()
    sweeps: tuple[Sweep, ...] = ()
    parts: tuple[str, ...] = ()
    benchmarks: str = ""
    most_seconds: float = 5.0
    threads: int | None = None
