"""How trials are judged: their score, which are confirmed, and which settings are chosen."""

import math
from collections import Counter
from collections.abc import Sequence
from statistics import fmean

from rbench.run import Record
from rbench.run.tuned import Judged, Tuned, judged
from rbench.tune.plan import Plan, Search


def score(record: Record, figure: Judged) -> float:
    """What is minimised: 1 − accuracy, the squared error or the loss, at the end of the budget on the validation split.

    Returns:
        The score; infinity, the worst, where the trial did not end `ok` or the figure is not finite.
    """
    value = record.figures.get(f"test_{figure}") if record.status == "ok" else None
    if value is None or not math.isfinite(value):
        return math.inf
    return float(judged(figure).minimised(value))


def ranked(search: Search, records: Sequence[Record]) -> list[Record]:
    """Trials with a score, smallest first, ties by loss and then by order; each setting once."""
    first: dict[str, Record] = {}
    for record in records:
        first.setdefault(record.training.method, record)
    scored = [one for one in first.values() if math.isfinite(score(one, search.figure))]
    return sorted(scored, key=lambda one: (score(one, search.figure), score(one, "loss")))


def chosen(
    search: Search, plan: Plan, trials: Sequence[Record], confirmations: Sequence[Record], seconds: float
) -> Tuned:
    """The result of a search: the confirmed settings with the smallest mean score over all their seeds.

    Ties go to the smaller mean loss, then to the better trial. Settings that fail on a seed have no finite mean.
    `trials` are the records of all points, in order, `confirmations` those of the best of them on further seeds, and
    `seconds` the wall time of both.
    """
    seeds = {one.training.method: [one] for one in ranked(search, trials)}
    for record in confirmations:
        seeds[record.training.method].append(record)
    most = max(map(len, seeds.values()), default=0)
    means = {
        method: tuple(fmean(score(one, figure) for one in records) for figure in (search.figure, "loss"))
        for method, records in seeds.items()
        if len(records) == most
    }
    best = min(means, key=lambda method: means[method], default=trials[0].training.method)
    found = means[best][0] if means else math.inf
    failed = [
        "not finite" if record.status == "ok" else record.status
        for record in (*trials, *confirmations)
        if math.isinf(score(record, search.figure))
    ]
    cell = search.cell
    return Tuned(
        task=cell.task,
        method=cell.method,
        settings=best,
        figure=search.figure,
        score=found if math.isfinite(found) else None,
        trials=len(trials),
        confirmed=len(means) if most > 1 else 0,
        confirming=plan.confirming,
        failures=dict(Counter(failed)),
        seconds=seconds,
        space={key: str(dimension) for key, dimension in search.space.items()},
        seed=plan.seed,
        budget=cell.budget.length,
        backend=cell.backend,
        device=cell.device,
        dtype=cell.dtype,
        threads=cell.threads,
    )
