"""What a suite is: of training, tasks, the methods that are compared on each, and a budget; of costs, what is timed."""

from dataclasses import dataclass


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
    """

    name: str
    summary: str
    entries: tuple[Entry, ...]
    seeds: int = 1
    threads: int | None = None
    tuning: str = ""


@dataclass(frozen=True)
class CostSuite:
    """What `rbench run NAME` measures without training, where its options do not say otherwise.

    Attributes:
        name: the registered name.
        summary: one line for `rbench list`.
        benchmarks: the module of pytest-benchmark tests that measures; `rbench.cost.step_time_benchmarks` is one.
        networks: names of networks, as `rbench.cost.network` takes them.
        methods: SPECs of the methods.
        batch_sizes: data a batch.
        parts: names of parts of a step that are measured apart.
        threads: of the numerical libraries; all cores if None.
    """

    name: str
    summary: str
    benchmarks: str
    networks: tuple[str, ...]
    methods: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    parts: tuple[str, ...] = ()
    threads: int | None = None
