"""The best settings of every search, run on the full training set and the test set, on seeds that no trial used."""

from itertools import count, islice
from pathlib import Path

from rbench.plugins import plugins
from rbench.run import Display, Run, TunedFile, run_cells
from rbench.run.local import LocalExecutor
from rbench.run.machine import CellLimits
from rbench.tune.request import TuneRequest


def rerun(request: TuneRequest, tuned: TunedFile, directory: Path, display: Display) -> Run:
    """Run the best settings that `directory` does not hold yet.

    Args:
        request: what was tuned.
        tuned: the best settings.
        directory: of the tune; it holds the records, as any run's does.
        display: shows the runs' progress.
    """
    cells = []
    tuning = {}
    for search, found in zip(request.plan().searches, tuned.tuned, strict=True):
        for seed in run_seeds(request):
            cell = search.cell.model_copy(update={"method": found.settings, "seed": seed})
            cells.append(cell)
            tuning[cell.key] = found
    records = run_cells(
        cells,
        directory,
        display,
        request=request.model_dump(),
        executor=LocalExecutor(request.jobs),
        limits=CellLimits(timeout=request.timeout, memory_limit=request.memory_limit),
        tuning=tuning,
        replaces=True,
    )
    return Run(directory, records)


def run_seeds(request: TuneRequest) -> list[int]:
    """Seeds of the runs: from 0 on, without those of trials and confirmations."""
    number = request.seeds or plugins().find("suites", request.suite).seeds
    seen = range(request.seed, request.seed + 1 + request.confirmations)
    return list(islice((seed for seed in count() if seed not in seen), number))
