"""A tune: trials of all points, the best of each search on further seeds, and then runs of the best settings."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from rbench.errors import RbenchError
from rbench.run import Display, Record, Run, TunedFile, run_cells
from rbench.run.directory import STAGES, TUNE, WAY_OUT, check_directory, refuse_newer, remove_halves, writing_into
from rbench.run.fork import servers
from rbench.run.lock import locked
from rbench.run.provenance import provenance
from rbench.run.reading import Count, DamagedError, NewerError, read_file
from rbench.run.record import record_files, write_json
from rbench.tune.plan import Plan, Search
from rbench.tune.request import TuneRequest
from rbench.tune.selection import chosen, ranked
from rbench.tune.sobol import need_optuna, points
from rbench.tune.stage import Stage, Tried


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

    Args:
        request: what to tune.
        directory: made if absent.
        display: shows each stage's progress.

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
        tried = [(one, _trials(one, plan)) for one in plan.searches]
        trials = Stage(directory / STAGES[0], tried, display)
        if strangers := trials.strangers():
            raise RbenchError(
                f"{strangers[0].name}: earlier trials are of other Sobol points, as another version of Optuna or SciPy "
                f"draws them; go on with the versions in {TUNE}, or {WAY_OUT}"
            )
        ended = trials.run(request)
        again = [(one, _again(one, cells, ended, plan)) for one, cells in tried]
        confirmations = Stage(directory / STAGES[1], again, display)
        ended |= confirmations.run(request)
        tuned = TunedFile(
            suite=request.suite,
            tuned=tuple(
                chosen(
                    one,
                    plan,
                    [ended[cell.key] for _, cell in cells],
                    [ended[cell.key] for _, cell in more],
                    trials.seconds(one) + confirmations.seconds(one),
                )
                for (one, cells), (_, more) in zip(tried, again, strict=True)
            ),
            provenance=provenance(),
        )
        write_json(directory / "tuned.json", tuned.model_dump())
        return tuned


def rerun(request: TuneRequest, tuned: TunedFile, directory: Path, display: Display) -> Run:
    """Run the best settings that `directory` does not hold yet, on the full training set and the test set.

    Args:
        request: what was tuned.
        tuned: the best settings.
        directory: of the tune; it holds the records, as any run's does.
        display: shows the runs' progress.
    """
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
        jobs=request.jobs,
        timeout=request.timeout,
        memory_limit=request.memory_limit,
        tuning={cell.key: found for cell, found in tuning.items()},
        replaces=True,
    )
    return Run(directory, records)


def _trials(search: Search, plan: Plan) -> Tried:
    """The trials of a search, in order; a plan of more trials begins with the same ones."""
    return [(point, search.trial(point, plan.seed)) for point in points(search.space, plan.trials, plan.seed)]


def _again(search: Search, tried: Tried, ended: dict[str, Record], plan: Plan) -> Tried:
    """The best trials on the confirming seeds, the best first."""
    point = {cell.method: point for point, cell in reversed(tried)}
    best = ranked(search, [ended[cell.key] for _, cell in tried])[: plan.finalists]
    again = [point[record.training.method] for record in best]
    return [(one, search.trial(one, seed)) for one in again for seed in plan.confirming]


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
