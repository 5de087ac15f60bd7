"""Two runs of the same cells: what became better or worse, beyond a threshold and beyond noise."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from statistics import median
from typing import Any, Literal, TypeAlias

import numpy as np

from rbench.errors import SpecError
from rbench.figures import Figure, compared
from rbench.names import did_you_mean
from rbench.report.frame import Row, grouped, with_misses
from rbench.report.noise import Ratio, paired_ratio
from rbench.report.table import end_in_words
from rbench.run.record import Record

Verdict: TypeAlias = Literal["worse", "better", "within", "noise", "unknown", "lost"]


@dataclass(frozen=True)
class Change:
    """How one figure of one row changed.

    Attributes:
        row: the compared cells' fields.
        figure: name of the figure; `status` for cells that were lost.
        a: its median in the first run, over the pairs.
        b: in the second.
        pairs: seeds that have it in both.
        ratio: of second to first, for accuracy that of the errors 1 − accuracy. Above 1 is worse.
        verdict: `worse` or `better`, beyond the threshold and beyond noise; `within` the threshold; within `noise`;
            `unknown` where one pair shows no noise; `lost` for cells that no longer end ok.
        reason: how lost cells ended.
        declared: the figure itself; None for lost cells.
    """

    row: Row
    figure: str
    a: float
    b: float
    pairs: int
    ratio: Ratio
    verdict: Verdict
    reason: str | None = None
    declared: Figure | None = None

    @property
    def fails(self) -> bool:
        """Whether a comparison with it fails."""
        return self.verdict in ("worse", "lost")

    def line(self) -> Row:
        """As a row of a table of raw figures."""
        low, high = self.ratio.low, self.ratio.high
        own = {"figure": self.figure, "a": self.a, "b": self.b, "pairs": self.pairs, "ratio": self.ratio.middle}
        return {**self.row, **own, "ratio_low": low, "ratio_high": high, "verdict": self.verdict, "reason": self.reason}


def compare(first: Sequence[Record], second: Sequence[Record], names: Sequence[str], threshold: float) -> list[Change]:
    """What changed between two runs of one experiment.

    Cells are matched by all fields that describe them, and paired by seed. Cells that did not end ok in the first run
    are not compared. A timed cost has quartiles; it changed beyond noise where those of the two runs do not overlap.

    Args:
        first: records of the run to compare with.
        second: records of the run to judge.
        names: figures to compare; all except timed ones if empty.
        threshold: ratio above which a figure is worse, below whose inverse it is better.

    Raises:
        SpecError: a figure that does not exist, a threshold below 1, or runs that have no cell or no figure in common.
    """
    kinds = [grouped(records, lambda record: record.cell.fields) for records in (first, second)]
    shared = [fields for fields in kinds[0] if fields in kinds[1]]
    if not shared:
        ran = [", ".join(sorted({record.cell.name for record in half})) or "nothing" for half in (first, second)]
        raise SpecError(
            f"the runs have no cell in common: one is of {ran[0]} and the other of {ran[1]}; compare runs of one "
            "experiment"
        )
    changes = []
    for fields in shared:
        a, b = ([with_misses(record.row()) for record in kind[fields]] for kind in kinds)
        key = [name for name in fields[: fields.index("status")] if name not in ("seed", "sizes")]
        figures = _chosen(kinds[0][fields][0].cell.figures, names)
        changes += _compare(a, b, key, figures, threshold)
    return changes


def _chosen(figures: Sequence[Figure], names: Sequence[str]) -> list[Figure]:
    figures = compared(figures)
    known = [figure.name for figure in figures]
    for name in names:
        if name not in known:
            raise SpecError(
                f"no figure to compare here is called {name}{did_you_mean(name, known)}; there are: {', '.join(known)}"
            )
    return [figure for figure in figures if figure.name in names or (figure.compared == "always" and not names)]


def _compare(
    first: Sequence[Row], second: Sequence[Row], key: list[str], figures: Sequence[Figure], threshold: float
) -> list[Change]:
    if not 1 <= threshold < math.inf:
        raise SpecError(
            f"threshold {threshold:g}: give the ratio from which on a figure is worse, 1 or more, such as 1.1"
        )
    # A failed cell does not know its device: it takes that of the others.
    devices = {line["backend"]: line["device"] for line in [*second, *first] if line["device"] is not None}
    a, b = (_cells(half, key, devices) for half in (first, second))
    if not a.keys() & b.keys():
        raise SpecError(f"the runs have no cell in common: none agrees in all of {', '.join(key)}")
    changes = [
        change
        for cell, seeds in a.items()
        for change in _changes(dict(zip(key, cell, strict=True)), seeds, b.get(cell, {}), figures, threshold)
    ]
    if not changes:
        names = ", ".join(figure.name for figure in figures)
        raise SpecError(f"nothing to compare: no cell ended ok in both runs with one of {names}")
    return changes


def _cells(lines: Sequence[Row], key: list[str], devices: Row) -> dict[tuple[Any, ...], dict[int, Row]]:
    """Rows by the values of their key, and by seed."""
    known = [{**line, "device": line["device"] or devices.get(line["backend"])} for line in lines]
    cells = grouped(known, itemgetter(*key))
    return {cell: {line.get("seed", 0): line for line in own} for cell, own in cells.items()}


def _changes(
    row: Row, first: dict[int, Row], second: dict[int, Row], figures: Sequence[Figure], threshold: float
) -> Iterator[Change]:
    ended = sorted(seed for seed, line in first.items() if line["status"] == "ok")
    both = [seed for seed in ended if seed in second and second[seed]["status"] == "ok"]
    lost = {seed: end_in_words(second[seed]) if seed in second else "missing" for seed in ended if seed not in both}
    if lost:
        words = "; ".join(f"seed {seed} {end}" if "seed" in first[seed] else end for seed, end in lost.items())
        nothing = Ratio(math.nan, math.nan, math.nan, math.nan)
        yield Change(row, "status", math.nan, math.nan, len(lost), nothing, "lost", words)
    for figure in figures:
        pairs = [(first[seed], second[seed]) for seed in both]
        pairs = [pair for pair in pairs if all(line.get(figure.name) is not None for line in pair)]
        if pairs:
            yield _change(row, figure, pairs, threshold)


def _change(row: Row, figure: Figure, pairs: list[tuple[Row, Row]], threshold: float) -> Change:
    first, second = ([float(pair[side][figure.name]) for pair in pairs] for side in (0, 1))
    a, b = np.array(first), np.array(second)
    ratio = paired_ratio(figure.minimised(a), figure.minimised(b))
    known = [[line[end] for end in figure.quartiles if line.get(end) is not None] for line in pairs[0]]
    if all(len(quartiles) == 2 for quartiles in known):
        (low_a, high_a), (low_b, high_b) = known
        ratio = ratio._replace(low=low_b / high_a, high=high_b / low_a)
    verdict = _verdict(figure, ratio, threshold)
    return Change(row, figure.name, median(first), median(second), len(pairs), ratio, verdict, declared=figure)


def _verdict(figure: Figure, ratio: Ratio, threshold: float) -> Verdict:
    alone = math.isnan(ratio.low)
    if alone and not figure.exact:
        return "unknown"
    if ratio.low <= 1 <= ratio.high:
        return "noise"
    limit = threshold**2 if alone else threshold
    if ratio.middle > limit:
        return "worse"
    return "better" if ratio.middle < 1 / limit else "within"
