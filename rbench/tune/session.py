"""A search: trials of all points, and then the best of each search on further seeds."""

import json
from pathlib import Path

from rbench.errors import RbenchError
from rbench.run import Display, Record, TunedFile
from rbench.run.lock import locked
from rbench.run.provenance import provenance
from rbench.run.record import write_json
from rbench.tune.judge import chosen, ranked
from rbench.tune.plan import Plan, Search
from rbench.tune.points import need_optuna
from rbench.tune.request import TuneRequest
from rbench.tune.round import Round, Tried


def search(request: TuneRequest, directory: Path, display: Display) -> TunedFile:
    """Run the trials and confirmations that `directory` does not hold, and write `tuned.json`.

    Each round and its journal are in a folder of `directory`, `trials` and `confirmations`, which is a run of its own.

    Args:
        request: what to tune.
        directory: made where it is not there.
        display: told how each round goes on.

    Returns:
        What was found, as it is in `tuned.json`.

    Raises:
        RbenchError: what is asked for cannot be tuned, or `directory` holds something else; nothing has been started.
    """
    need_optuna()
    plan = request.plan()
    with locked(directory):
        _claim(directory, plan)
        tried = [(one, [(point, one.trial(point, plan.seed)) for point in plan.points(one)]) for one in plan.searches]
        trials = Round(directory / "trials", tried, display)
        if strangers := trials.strangers():
            raise RbenchError(
                f"{strangers[0].name}: earlier trials are of other Sobol points, as another version of Optuna or SciPy "
                "draws them; go on with the versions in tune.json, or name another directory with -o"
            )
        ended = trials.run(request)
        again = [(one, _again(one, points, ended, plan)) for one, points in tried]
        confirmations = Round(directory / "confirmations", again, display)
        ended |= confirmations.run(request)
        tuned = TunedFile(
            suite=request.suite,
            tuned=tuple(
                chosen(
                    one,
                    plan,
                    [ended[cell.key] for _, cell in points],
                    [ended[cell.key] for _, cell in more],
                    trials.seconds(one) + confirmations.seconds(one),
                )
                for (one, points), (_, more) in zip(tried, again, strict=True)
            ),
            provenance=provenance(),
        )
        write_json(directory / "tuned.json", tuned.model_dump())
        return tuned


def _again(search: Search, tried: Tried, ended: dict[str, Record], plan: Plan) -> Tried:
    """The best of the trials on the seeds that confirm them, the best first."""
    point = {cell.method: point for point, cell in reversed(tried)}
    best = ranked(search, [ended[cell.key] for _, cell in tried])[: plan.finalists]
    again = [point[record.cell.method] for record in best]
    return [(one, search.trial(one, seed)) for one in again for seed in plan.confirming]


def _claim(directory: Path, plan: Plan) -> None:
    """Write the plan into the directory, in place of one of which no trial has ended.

    Raises:
        RbenchError: it holds a plan that this one does not continue, or something else.
    """
    path = directory / "tune.json"
    facts = plan.facts()
    way_out = "repeat that, or name another directory with -o"
    try:
        if (directory / "run.json").exists() and not path.exists():
            raise RbenchError(f"{directory} holds a run that is no tune; name another directory with -o")
        if any((directory / "trials" / "cells").glob("*.json")):
            old = json.loads(path.read_text())
            if changed := [name for name in {**old["facts"], **facts} if old["facts"].get(name) != facts.get(name)]:
                was, now = (one.get(changed[0], "none") for one in (old["facts"], facts))
                raise RbenchError(
                    f"{directory} holds a tune with {changed[0]}: {was}; this is another: {now}; {way_out}"
                )
            if old["trials"] > plan.trials:
                raise RbenchError(
                    f"{directory} holds a tune of {old['trials']} trials, more than {plan.trials}; {way_out}"
                )
        (directory / "trials").mkdir(parents=True, exist_ok=True)
        write_json(path, {"trials": plan.trials, "facts": facts, "provenance": provenance()})
    except OSError as error:
        raise RbenchError(f"cannot tune into {directory}: {error.strerror}; name another directory with -o") from None
    except (ValueError, KeyError, TypeError):
        raise RbenchError(f"{path} is damaged; name another directory with -o") from None
