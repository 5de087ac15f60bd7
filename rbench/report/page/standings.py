"""Where the methods of a task stand: the marks of their figures, and which is better than which."""

from collections.abc import Sequence
from operator import itemgetter
from statistics import median
from typing import NamedTuple

from rbench.figures import TRAINING, Figure, judging
from rbench.report.frame import COMPETITION, Row, grouped, lines_of, located, rows
from rbench.report.noise import marks
from rbench.run.record import Record


class Standings(NamedTuple):
    """Of records of training.

    Attributes:
        marks: by a record's place and a figure's name: `*` for the best of its task, `~` for what is not shown to
            differ from it, as `rbench.report.noise.marks` finds them over seeds.
        ranks: of each record, what sorts it within its task: failures last, else by the figure that judges the task.
    """

    marks: dict[tuple[int, str], str]
    ranks: list[tuple[bool, float]]


def standings(records: Sequence[Record]) -> Standings:
    """The standings of records of training of one run."""
    lines = [{**line, "place": place} for place, line in enumerate(lines_of(located(rows(records))))]
    found: dict[tuple[int, str], str] = {}
    ranks = [(True, 0.0)] * len(records)
    for competition in grouped(lines, itemgetter(*COMPETITION)).values():
        methods = list(grouped(competition, itemgetter("method")).values())
        for figure in TRAINING:
            values = [_by_seed(method, figure) for method in methods]
            for method, mark in zip(methods, marks(values, higher=figure.better == "higher"), strict=True):
                found |= {(line["place"], figure.name): mark for line in method if mark}
        for method in methods:
            for line in method:
                ranks[line["place"]] = _rank(method)
    return Standings(found, ranks)


def _by_seed(method: Sequence[Row], figure: Figure) -> dict[int, float]:
    known = [line for line in method if line["status"] == "ok" and line[figure.name] is not None]
    return {line["seed"]: float(line[figure.name]) for line in sorted(known, key=itemgetter("seed"))}


def _rank(method: Sequence[Row]) -> tuple[bool, float]:
    failed = any(line["status"] != "ok" for line in method)
    for figure in judging(TRAINING):
        if values := list(_by_seed(method, figure).values()):
            return failed, figure.sign * median(values)
    return True, 0.0
