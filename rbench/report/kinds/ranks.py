"""Critical-difference diagrams: mean ranks of methods, and which are not shown to differ (Demšar 2006, JMLR 7)."""

from collections.abc import Sequence

import numpy as np

from rbench.errors import DataError
from rbench.report.kinds.places import of_training
from rbench.report.pictures import Numbers, Panel, Picture, Trace
from rbench.report.problems import place_columns, problems
from rbench.report.ranking import CRITERIA, Ranking, explained, ranking, verdict
from rbench.run.record import Record

STEP, TICK = 0.5, 0.15
"""Rows from one group to the next, and the length of the ruler's ticks."""


def rank_pictures(records: Sequence[Record]) -> list[Picture]:
    """A diagram for each place: mean ranks by test figure and by seconds to the target.

    A thick line joins methods that Nemenyi's test does not tell apart, where Friedman's test finds a difference.

    Raises:
        DataError: there is nothing to rank.
    """
    records = of_training(records)
    found = [ranking(one) for by in CRITERIA for one in problems(records, by)]
    if not found:
        raise DataError("nothing to rank: no method was run on every task, or none ended ok")
    places = place_columns([one.problems for one in found])
    titles = [", ".join(f"{name} {value}" for name, value in place.items()) for place in places]
    return [
        _picture(title, [one for one, its in zip(found, titles, strict=True) if its == title])
        for title in dict.fromkeys(titles)
    ]


def groups(found: Ranking) -> list[tuple[int, int]]:
    """The first and last place, in order of mean rank, of each largest group of methods that do not differ.

    Without a test, or where it finds no difference, there is none.
    """
    if not found.differ:
        return []
    mean = found.mean.to_numpy()
    last = [int(np.flatnonzero(mean - start < found.critical).max()) for start in mean]
    return [(n, end) for n, end in enumerate(last) if end > n and (n == 0 or last[n - 1] < end)]


def _picture(title: str, found: Sequence[Ranking]) -> Picture:
    left_out = dict.fromkeys(one.problems.labels[method] for one in found for method in one.problems.left_out)
    notes = [f"By {one.problems.by}: {verdict(one)} {explained(one)}" for one in found]
    if any(one.differ for one in found):
        notes.append("The critical difference is Nemenyi's at 5 %: methods whose mean ranks are closer are joined.")
    if left_out:
        notes.append(f"Left out, as they were not run on every task: {'; '.join(left_out)}.")
    return Picture("ranks", title, tuple(map(_panel, found)), notes=tuple(notes))


def _panel(found: Ranking) -> Panel:
    """Methods in rows, best first; above them the groups, and the critical difference as a length."""
    names = found.problems.labels
    rows = tuple(names[method] for method in found.mean.index)
    ranks: Numbers = np.asarray(found.mean, dtype=np.float64)
    together = groups(found)
    top = -STEP * (len(together) + 1)
    traces = []
    for place, (name, rank) in enumerate(zip(rows, ranks, strict=True)):
        if found.differ:
            traces.append(Trace("", np.array([rank, rank]), np.array([place, top]), shape="rule"))
        traces.append(Trace(name, np.array([rank]), np.array([float(place)]), shape="points"))
    for place, ends in enumerate(together):
        x, y = ranks[list(ends)], np.full(2, -STEP * (place + 1))
        traces.append(Trace("not shown to differ", x, y, shape="rule", figure="thick"))
    if found.differ:
        traces.append(_ruler(found.critical, top - STEP))
    count = found.ranks.shape[1]
    title = f"by {found.problems.by}, {count} task{'' if count == 1 else 's'}"
    title += f", critical difference {found.critical:.2f}" if found.differ else ""
    return Panel(title, "mean rank, 1 is best", "", tuple(traces), rows=rows)


def _ruler(length: float, y: float) -> Trace:
    """A line from rank 1 as long as the critical difference, with ticks at its ends."""
    x = np.repeat([1.0, 1 + length], 3)
    return Trace("critical difference", x, y + np.array([-TICK, TICK, 0, 0, TICK, -TICK]), shape="rule", figure="thin")
