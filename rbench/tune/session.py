"""A tune: trials of all points, the best of each search on further seeds, and then runs of the best settings."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from rbench.errors import RbenchError
from rbench.run import Display, Run, TunedFile, run_cells
from rbench.run.directory import STAGES, TUNE, WAY_OUT, check_directory, refuse_newer, remove_halves, writing_into
from rbench.run.fork import servers
from rbench.run.local import LocalExecutor
from rbench.run.lock import locked
from rbench.run.machine import CellLimits
from rbench.run.provenance import provenance
from rbench.run.reading import Count, DamagedError, NewerError, read_file
from rbench.run.record import record_files, write_json
from rbench.tune.journal import need_optuna
from rbench.tune.plan import Plan, Search, Trial
from rbench.tune.request import TuneRequest
from rbench.tune.selection import chosen, ranked
from rbench.tune.stage import Stage


class TuneFile(BaseModel):
    """The content of `tune.json`: the plan of a tune.

    Attributes:
        trials: number of trials per search.
        facts: all else that determines the trials, in words.
        provenance: software and hardware.
    """

    model_config = ConfigDict(extra="forbid")
    trials: Count
    facts: dict[str, str]
    provenance: dict[str, Any] = {}


@servers
def search(request: TuneRequest, directory: Path, display: Display) -> TunedFile:
    """Run the trials and confirmations that `directory` does not hold, and write `tuned.json`.

    Each stage and its journal are in a folder of `directory`, `trials` and `confirmations`, which is a run of its own.

    Returns:
        The content of `tuned.json`.

    Raises:
        RbenchError: the request cannot be tuned, or `directory` holds something else; nothing has been started.
    """
    need_optuna()
    plan = request.plan()
    check_directory(directory, "tune")
    for folder in (directory, *(directory / name for name in STAGES)):
        refuse_newer(folder)
    with locked(directory):
        _claim(directory, plan)
        planned = [trial for one in plan.searches for trial in one.trials(plan.trials, plan.seed)]
        trials = Stage(directory / STAGES[0], planned, display)
        if strangers := [one.name for one in plan.searches if trials.has_strangers(one)]:
            raise RbenchError(
                f"{strangers[0]}: earlier trials are of other Sobol points, as another version of Optuna or SciPy "
                f"draws them; go on with the versions in {TUNE}, or {WAY_OUT}"
            )
        trials.run(request)
        again = [trial for one in plan.searches for trial in _again(one, plan, trials)]
        confirmations = Stage(directory / STAGES[1], again, display)
        confirmations.run(request)
        found = []
        for one in plan.searches:
            seconds = trials.seconds(one) + confirmations.seconds(one)
            found.append(chosen(one, plan, trials.records(one), confirmations.records(one), seconds))
        tuned = TunedFile(suite=request.suite, tuned=tuple(found), provenance=provenance())
        write_json(directory / "tuned.json", tuned.model_dump())
        return tuned


def rerun(request: TuneRequest, tuned: TunedFile, directory: Path, display: Display) -> Run:
    """Run the best settings on the full training set and the test set, where a tune's directory lacks their records."""
    plan = request.plan()
    tuning = {
        search.cell.model_copy(update={"method": found.settings, "seed": seed}): found
        for search, found in zip(plan.searches, tuned.tuned, strict=True)
        for seed in plan.run_seeds
    }
    records = run_cells(
        list(tuning),
        directory,
        display,
        request=request.model_dump(),
        executor=LocalExecutor(request.jobs),
        limits=CellLimits(timeout=request.timeout, memory_limit=request.memory_limit),
        tuning={cell.key: found for cell, found in tuning.items()},
        replaces=True,
    )
    return Run(directory, records)


def _again(search: Search, plan: Plan, trials: Stage) -> list[Trial]:
    """The best trials on the confirming seeds, the best first."""
    points = {trial.cell.method: trial.point for trial in reversed(trials.of(search))}
    best = [points[record.training.method] for record in ranked(search, trials.records(search))[: plan.finalists]]
    return [search.trial(point, seed) for point in best for seed in plan.confirming]


def _claim(directory: Path, plan: Plan) -> None:
    """Write the plan into the directory, replacing one of which no trial has ended.

    Raises:
        RbenchError: it holds a plan that this one does not continue, or something else.
    """
    old = _plan_there(directory)
    facts = plan.facts()
    way_out = f"repeat that, or {WAY_OUT}"
    if old is not None:
        if changed := [name for name in {**old.facts, **facts} if old.facts.get(name) != facts.get(name)]:
            was, now = (one.get(changed[0], "none") for one in (old.facts, facts))
            raise RbenchError(f"{directory} holds a tune with {changed[0]}: {was}; this is another: {now}; {way_out}")
        if old.trials > plan.trials:
            raise RbenchError(f"{directory} holds a tune of {old.trials} trials, more than {plan.trials}; {way_out}")
    with writing_into(directory):
        (directory / STAGES[0]).mkdir(parents=True, exist_ok=True)
        remove_halves(directory)
        write_json(directory / TUNE, TuneFile(trials=plan.trials, facts=facts, provenance=provenance()).model_dump())


def _plan_there(directory: Path) -> TuneFile | None:
    """The plan of a tune of which trials have ended; None where there is none.

    Raises:
        NewerError: a newer version wrote it, or its `tuned.json`.
        DamagedError: it is damaged.
    """
    try:
        with suppress(FileNotFoundError, DamagedError):
            read_file(directory / "tuned.json", TunedFile)
        found = read_file(directory / TUNE, TuneFile)
    except NewerError as error:
        raise NewerError(f"{error}; tune with that version, or {WAY_OUT}") from None
    except (FileNotFoundError, DamagedError) as error:
        if not record_files(directory / STAGES[0]):
            return None
        why = error if isinstance(error, DamagedError) else f"{directory / 'tune.json'} is damaged: it is not there"
        raise DamagedError(f"{why}; {WAY_OUT}") from None
    return found if record_files(directory / STAGES[0]) else None
