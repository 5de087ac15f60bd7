"""How trials are judged: a score, and the best of a search."""

import math
from collections import Counter
from collections.abc import Sequence

from rbench.run import Record
from rbench.run.tuned import Figure, Tuned
from rbench.tune.plan import Plan, Search


def score(record: Record, figure: Figure) -> float:
    """What is minimised: 1 − accuracy, the squared error or the loss, at the end of the budget on the validation split.

    Returns:
        The score; infinity, the worst, where the trial did not end `ok` or the figure is not finite.
    """
    value = record.figures.get(f"test_{figure}") if record.status == "ok" else None
    if value is None or not math.isfinite(value):
        return math.inf
    return 1 - value if figure == "accuracy" else float(value)


def best(search: Search, plan: Plan, records: Sequence[Record], seconds: float) -> Tuned:
    """What a search found: the smallest score; of equal ones the smallest loss, then the earliest.

    Args:
        search: what was searched.
        plan: what it belongs to.
        records: of its trials, in the order of its points.
        seconds: wall time of all of them.
    """
    scores = [score(record, search.figure) for record in records]
    losses = [score(record, "loss") for record in records]
    first = min(range(len(records)), key=lambda index: (scores[index], losses[index], index))
    failed = [
        "not finite" if record.status == "ok" else record.status
        for record, value in zip(records, scores, strict=True)
        if math.isinf(value)
    ]
    cell = search.cell
    return Tuned(
        task=cell.task,
        method=cell.method,
        settings=records[first].cell.method,
        figure=search.figure,
        score=scores[first] if math.isfinite(scores[first]) else None,
        trials=len(records),
        failures=dict(Counter(failed)),
        seconds=seconds,
        space=search.words(),
        seed=plan.seed,
        budget=cell.budget,
        backend=cell.backend,
        device=cell.device,
        dtype=cell.dtype,
        threads=cell.threads,
    )
