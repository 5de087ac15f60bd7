"""Kinds of pictures: what can be drawn of records, by name, whether into a file or a page."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from rbench.errors import DataError
from rbench.names import unknown
from rbench.report.charts import charts_of
from rbench.report.kinds.breakdown import breakdown_pictures
from rbench.report.kinds.charts import chart_pictures
from rbench.report.kinds.curves import curve_pictures
from rbench.report.kinds.heatmap import heatmap_pictures
from rbench.report.kinds.pareto import pareto_pictures
from rbench.report.kinds.profile import profile_pictures
from rbench.report.kinds.ranks import rank_pictures
from rbench.report.kinds.scaling import scaling_pictures
from rbench.report.pictures import Picture
from rbench.run.record import Record

Maker: TypeAlias = Callable[[Sequence[Record]], list[Picture]]
"""Makes the pictures of records, leaving out those of other experiments; raises a DataError where there is nothing."""

KINDS: dict[str, Maker] = {
    "curves": curve_pictures,
    "pareto": pareto_pictures,
    "profile": profile_pictures,
    "ranks": rank_pictures,
    "scaling": scaling_pictures,
    "breakdown": breakdown_pictures,
    "heatmap": heatmap_pictures,
}
"""The kinds that every report knows; experiments declare others as charts."""


def pictures(kind: str, records: Sequence[Record], reference: str | None = None) -> list[Picture]:
    """The pictures of a kind, one for each task and place whose figures must not be mixed.

    Args:
        kind: one of `KINDS`, or of the charts that the records' experiments declare.
        records: of any experiments; those that the kind does not show are left out.
        reference: label or SPEC of the method over which a profile states speed-ups; by default as `reference_of`.

    Raises:
        DataError: no kind has that name, or it cannot be drawn of these records; the message says why, and which can.
    """
    makers = _makers(records, reference)
    if kind not in makers:
        raise DataError(unknown("kind of plot", kind, makers))
    try:
        return makers[kind](records)
    except DataError as error:
        drawable = kinds_of(records)
        if kind in drawable:  # what is wrong is the reference
            raise
        raise DataError(f"{error}; of these records can be drawn: {', '.join(drawable) or 'nothing'}") from None


def kinds_of(records: Sequence[Record]) -> list[str]:
    """The kinds that can be drawn of records, in order."""
    return [kind for kind, maker in _makers(records, None).items() if _drawn(maker, records)]


def every_picture(records: Sequence[Record]) -> list[Picture]:
    """The pictures of all kinds that can be drawn of records, in order."""
    return [picture for maker in _makers(records, None).values() for picture in _drawn(maker, records)]


def _makers(records: Sequence[Record], reference: str | None) -> dict[str, Maker]:
    """Every kind's maker; a chart that is called as another kind takes its place for the records that declare it."""
    charts = {kind: partial(chart_pictures, kind=kind) for kind in charts_of(records)}
    return KINDS | {"profile": partial(profile_pictures, reference=reference)} | charts


def _drawn(maker: Maker, records: Sequence[Record]) -> list[Picture]:
    try:
        return maker(records)
    except DataError:
        return []
