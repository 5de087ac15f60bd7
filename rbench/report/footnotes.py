"""What a table's reader must know beside its figures."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

from rbench.report.environments import environment_notes, environments
from rbench.report.forms import BEST, Look
from rbench.report.frame import grouped, name_of
from rbench.report.labels import Names, names
from rbench.report.noise import ALL_RANGE
from rbench.report.tuning import searches, settings
from rbench.report.value import shortened
from rbench.run import Record, Training


def footnotes(records: Sequence[Record], form: Look = "markdown") -> list[str]:
    """Sentences on marks in a form, seeds, timing, budget, tuning, data, machine and versions."""
    if not records:
        return ["No records."]
    cells = [record.training for record in records]
    return [
        *_seeds(len({cell.seed for cell in cells}), form),
        *(["fixed: random sources that are the same at every seed."] if any(cell.fixed for cell in cells) else []),
        "step / SGD: median ratio to a step of sgd with its default settings, timed in turn in the same process. "
        "to target: training time and steps at the first evaluation that met the task's target.",
        *_memory(records),
        *provenance(records),
    ]


def provenance(records: Sequence[Record]) -> list[str]:
    """Sentences on where figures come from: seeds, budget, threads, tuning, data, machine and versions."""
    trained = [record for record in records if isinstance(record.cell, Training)]
    budgets = sorted({str(record.training.budget) for record in trained})
    seeds = sorted({getattr(record.cell, "seed", 0) for record in records})
    threads = sorted({record.cell.threads for record in records})
    places = environments(records)
    budget = f"Budget: {', '.join(budgets)}. " if budgets else ""
    return [
        f"{budget}Threads: {', '.join(map(str, threads))}. Seeds: {_runs(seeds)}.",
        *searches(trained),
        *settings(trained),
        *_data(trained),
        *environment_notes(places.words),
        *machines(records, places.labels),
    ]


def reasons(records: Sequence[Record]) -> list[str]:
    """Whether all ended `ok`; the whole reasons of failures that a table shortens, each with its methods."""
    if records and all(record.status == "ok" for record in records):
        return [f"All {len(records)} cells ended ok." if len(records) > 1 else "The cell ended ok."]
    named = names(record.cell for record in records)
    failed = [
        (f"{record.status}: {record.reason}", _where(named, record))
        for record in records
        if record.status != "ok"
        and record.reason
        and shortened(record.reason) != record.reason
        and getattr(record.cell, "series", None) is None  # where a series ends is said with its table
    ]
    found = grouped(dict.fromkeys(failed), itemgetter(0))
    return [f"{'; '.join(where for _, where in own)}: {words}" for words, own in found.items()]


def _where(named: Names, record: Record) -> str:
    """A record's method and task, or the network where it has no task."""
    place = named.task(record.cell) or str(getattr(record.cell, "network", ""))
    return " on ".join(filter(None, (named.method(record.cell), place)))


def _runs(seeds: Sequence[int]) -> str:
    """Seeds as text, such as `0–2, 7`."""
    parts: list[list[int]] = []
    for seed in seeds:
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}–{part[-1]}" for part in parts)


def _seeds(count: int, form: Look) -> list[str]:
    """What the intervals and marks are."""
    if count == 1:
        return ["One seed: it shows no noise, so no difference is marked."]
    interval = "95 % percentile bootstrap interval of the median"
    if count <= ALL_RANGE:
        chance = f"{100 * (1 - 2 ** (1 - count)):.3g} %"
        interval += f": of {count} seeds their range, which holds the true median with probability {chance}"
    if form == "latex":
        interval += "; ±, or sub- and superscripts where its ends are not as far, are the distances to them"
    return [
        f"Figures are medians over {count} seeds ({interval}).",
        f"{BEST.get(form, '*')} is the best of its task; ~ is not shown to differ from it: paired t-test of logarithms "
        "over the seeds that both have. Of the figures without a mark at most 5 % should be so by chance "
        "(Benjamini and Hochberg).",
    ]


def _data(records: Sequence[Record]) -> list[str]:
    what = {True: "official", False: "NOT the official data", None: "made, shipped with a library, or a user's own"}
    found: dict[tuple[str, str], Any] = {
        (name_of(r.training.task), r.figures["dataset_sha256"]): r.figures.get("dataset_official")
        for r in records
        if r.figures.get("dataset_sha256")
    }
    return [f"Data of {task}: {what[official]}, sha256 {sha[:16]}…." for (task, sha), official in found.items()]


def _memory(records: Sequence[Record]) -> list[str]:
    """Why peak memory is missing where it could not be measured, each reason with its methods."""
    named = names(record.cell for record in records)
    cells = [(r.memory_reason, _where(named, r)) for r in records if r.memory_reason]
    found = grouped(dict.fromkeys(cells), itemgetter(0))
    return [f"No peak memory of {'; '.join(cell for _, cell in own)}: {reason}." for reason, own in found.items()]


def machines(records: Sequence[Record], labels: Sequence[str | None]) -> list[str]:
    """A sentence on each machine and its software, after the letter of each record's environment, if it has one."""
    known = [(label, record.provenance) for label, record in zip(labels, records, strict=True) if record.provenance]
    lines = (
        f"{f'{label}: ' if label else ''}{p.get('cpu') or 'CPU not known'}, {_source(p)}, "
        f"NumPy {p.get('libraries', {}).get('numpy')}."
        for label, p in known
    )
    return list(dict.fromkeys(lines))


def _source(provenance: dict[str, Any]) -> str:
    """The commit, where records come from a checkout; otherwise the version."""
    commit = provenance.get("commit")
    if not commit:
        return f"rbench {provenance.get('rbench') or 'not known'}"
    return f"rbench at commit {commit['id'][:10]}{' with changes' if commit.get('dirty') else ''}"
