"""How the settings of records were found, in sentences."""

from collections.abc import Sequence

from rbench.errors import PluginError, SpecError
from rbench.figures import significant
from rbench.plugins import plugins
from rbench.report.frame import grouped
from rbench.report.labels import names
from rbench.run import Budget, Record, TrainingSuite, Tuned
from rbench.run.tuned import judged, read_tuned
from rbench.train.cell import configured


def searches(records: Sequence[Record]) -> list[str]:
    """A sentence on each way in which `rbench tune` searched, with what it found for each method."""
    distinct = {record.tuning.model_dump_json(): record.tuning for record in records if record.tuning is not None}
    found = grouped(distinct.values(), _how_searched)
    notes = [f"{how} {'; '.join(map(_what_found, own))}." for how, own in found.items()]
    tried = {(r.training.seed, seed) for r in records if r.tuning for seed in (r.tuning.seed, *r.tuning.confirming)}
    if seen := sorted(own for own, seed in tried if own == seed):
        notes.append(f"Seed {seen[0]} is also that of the trials.")
    return notes


def _how_searched(tuned: Tuned) -> str:
    """How settings were searched, and the best of the trials confirmed."""
    judged_by = tuned.figure.replace("_", " ")
    place = f"{tuned.backend} {tuned.dtype}" + (f" on {tuned.device}" if tuned.device else "")
    confirmed = ""
    if tuned.confirmed:
        seeds = ", ".join(map(str, tuned.confirming))
        confirmed = f", the best {tuned.confirmed} run again on seeds {seeds} and chosen among by the mean"
    return (
        f"Tuned by rbench tune on {tuned.task}, {tuned.trials} trials per method, the best {judged_by} on a validation "
        f"split after {tuned.budget}, {place}, Sobol points and training with seed {tuned.seed}"
        f"{confirmed}:"
    )


def _what_found(tuned: Tuned) -> str:
    """A method, its search space, failures, seconds and best figure."""
    space = ", ".join(f"{key} {words}" for key, words in tuned.space.items())
    failed = ", ".join(f"{count} {status}" for status, count in tuned.failures.items()) or "none failed"
    if tuned.score is None:
        reached = "nothing found"
    else:
        figure = judged(tuned.figure)
        reached = f"{figure.unit.write(figure.minimised(tuned.score))} {figure.unit.symbol}".rstrip()
    return f"{tuned.method} ({space}): {failed}, {significant(tuned.seconds)} s, {reached}"


def settings(records: Sequence[Record]) -> list[str]:
    """How the settings were found: a suite's own, or given by the user."""
    notes = []
    named = names(record.cell for record in records)
    for name in dict.fromkeys(record.cell.suite for record in records):
        mine = [r for r in records if r.cell.suite == name and not _searched(r)]
        here = {(r.training.task, r.training.method, str(r.training.budget.length)) for r in mine}
        try:
            suite = plugins().find("suites", name)
            if not isinstance(suite, TrainingSuite):
                continue
            own, searched = _entries(suite), _found(suite)
        except (PluginError, SpecError):  # a plugin that the suite needs is not installed here
            continue
        if suite.tuning and here & own:
            notes.append(f"Settings of suite {name}: {suite.tuning}.")
        if here & searched:
            notes.append(f"Settings of suite {name}: found by rbench tune.")
        if rest := here - own - searched:
            others = sorted({f"{named.methods[place[:2]]} on {named.tasks[place[0]]}, {place[2]}" for place in rest})
            notes.append(f"No tuning is on record for this task, method and budget: {'; '.join(others)}.")
    return notes


def _entries(suite: TrainingSuite) -> set[tuple[str, str, str]]:
    """Task, method and budget of what a suite itself names."""
    return {
        (task.spec, method.spec, str(Budget(epochs=entry.epochs or task.epochs)))
        for entry in suite.entries
        for task in configured("tasks", entry.task)
        for spec in entry.methods
        for method in configured("methods", spec)
    }


def _found(suite: TrainingSuite) -> set[tuple[str, str, str]]:
    """Task, method and budget of what a suite's search found; rows of a file do not say it themselves."""
    searches = read_tuned(suite.tuned).tuned if suite.tuned is not None else ()
    return {(one.task, one.settings, str(one.budget)) for one in searches if one.score is not None}


def _searched(record: Record) -> bool:
    """Whether the settings were searched for the cell's budget; the search is always for its task."""
    return record.tuning is not None and record.tuning.budget == record.training.budget.length
