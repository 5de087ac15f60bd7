"""What a table's reader must know beside its figures."""

from collections.abc import Sequence
from typing import Any

from rbench.errors import PluginError, SpecError
from rbench.plugins import plugins
from rbench.report.environments import environment_notes, environments
from rbench.report.frame import name_of
from rbench.report.noise import ALL_RANGE
from rbench.report.tuning import tuned_notes
from rbench.run import Budget, Record, TrainingSuite
from rbench.train.cell import configured


def footnotes(records: Sequence[Record]) -> list[str]:
    """Sentences on seeds, timing, budget, tuning, data, machine and versions."""
    if not records:
        return ["No records."]
    cells = [record.training for record in records]
    budgets = {str(cell.budget) for cell in cells}
    threads = sorted({cell.threads for cell in cells})
    places = environments(records)
    return [
        *_seeds(len({cell.seed for cell in cells})),
        *(["fixed: random sources that are the same at every seed."] if any(cell.fixed for cell in cells) else []),
        "step / SGD: median ratio to a step of sgd with its default settings, timed in turn in the same process. "
        "to target: training time and steps at the first evaluation that met the task's target.",
        f"Budget: {', '.join(sorted(budgets))}. Threads: {', '.join(map(str, threads))}.",
        *tuned_notes(records),
        *_tuning(records),
        *_data(records),
        *_memory(records),
        *environment_notes(places.words),
        *machines([record.provenance for record in records], places.labels),
    ]


def _seeds(count: int) -> list[str]:
    """What the intervals and marks are."""
    if count == 1:
        return ["One seed: it shows no noise, so no difference is marked."]
    interval = "95 % percentile bootstrap interval of the median"
    if count <= ALL_RANGE:
        chance = f"{100 * (1 - 2 ** (1 - count)):.3g} %"
        interval += f": of {count} seeds their range, which holds the true median with probability {chance}"
    return [
        f"Figures are medians over {count} seeds ({interval}).",
        "* is the best of its task; ~ is not shown to differ from it: paired t-test of logarithms over the seeds that "
        "both have. Of the figures without a mark at most 5 % should be so by chance (Benjamini and Hochberg).",
    ]


def _tuning(records: Sequence[Record]) -> list[str]:
    """How the settings were found: a suite's own, or given by the user."""
    notes = []
    for name in dict.fromkeys(record.cell.suite for record in records):
        mine = [r for r in records if r.cell.suite == name and not _searched(r)]
        here = {(r.training.task, r.training.method, str(r.training.budget.length)) for r in mine}
        try:
            suite: TrainingSuite = plugins().find("suites", name)
            own = {
                (task.spec, method.spec, str(Budget(epochs=entry.epochs or task.epochs)))
                for entry in suite.entries
                for task in configured("tasks", entry.task)
                for spec in entry.methods
                for method in configured("methods", spec)
            }
        except (PluginError, SpecError):  # a plugin that the suite needs is not installed here
            continue
        if suite.tuning and here & own:
            notes.append(f"Settings of suite {name}: {suite.tuning}.")
        if here - own:
            others = sorted({f"{method} on {task}, {budget}" for task, method, budget in here - own})
            notes.append(f"Not tuned for this task, method and budget: {'; '.join(others)}.")
    return notes


def _searched(record: Record) -> bool:
    """Whether the settings were searched for the cell's budget; the search is always for its task."""
    return record.tuning is not None and record.tuning.budget == record.training.budget.length


def _data(records: Sequence[Record]) -> list[str]:
    what = {True: "official", False: "NOT the official data", None: "made, or shipped with a library"}
    found: dict[tuple[str, str], Any] = {
        (name_of(r.training.task), r.figures["dataset_sha256"]): r.figures.get("dataset_official")
        for r in records
        if r.figures.get("dataset_sha256")
    }
    return [f"Data of {task}: {what[official]}, sha256 {sha[:16]}…." for (task, sha), official in found.items()]


def _memory(records: Sequence[Record]) -> list[str]:
    """Why peak memory is missing where it could not be measured, each reason with its methods."""
    found: dict[str, dict[str, None]] = {}
    for record in records:
        if record.memory_reason:
            found.setdefault(record.memory_reason, {})[f"{record.training.method} on {record.training.task}"] = None
    return [f"No peak memory of {'; '.join(cells)}: {reason}." for reason, cells in found.items()]


def machines(known: Sequence[dict[str, Any]], labels: Sequence[str | None]) -> list[str]:
    """A sentence on each machine and its software.

    Args:
        known: provenances; empty ones are left out.
        labels: the letter of each environment, None where all agree.
    """
    lines = (
        f"{f'{label}: ' if label else ''}{p.get('cpu') or 'CPU not known'}, {_source(p)}, "
        f"NumPy {p.get('libraries', {}).get('numpy')}."
        for label, p in zip(labels, known, strict=True)
        if p
    )
    return list(dict.fromkeys(lines))


def _source(provenance: dict[str, Any]) -> str:
    """The commit, where records come from a checkout; otherwise the version."""
    commit = provenance.get("commit")
    if not commit:
        return f"rbench {provenance.get('rbench') or 'not known'}"
    return f"rbench at commit {commit['id'][:10]}{' with changes' if commit.get('dirty') else ''}"
