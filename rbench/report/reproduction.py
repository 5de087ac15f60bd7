"""Whether a run gives the figures of another again: a verdict per figure, in words."""

from collections.abc import Sequence

import pandas as pd

from rbench.names import shown
from rbench.report.compare import Change, compare
from rbench.report.forms import written
from rbench.report.frame import grouped
from rbench.report.table import Format, raw
from rbench.run.record import Record

VERDICTS = {
    "noise": "within noise",
    "within": "within the threshold",
    "unknown": "one pair: not judged",
    "worse": "NOT within noise: worse",
    "better": "NOT within noise: better",
    "lost": "NOT within noise: lost",
}
NOT_WITHIN = ("worse", "better", "lost")


def reproduction(
    before: Sequence[Record], after: Sequence[Record], names: Sequence[str], threshold: float
) -> list[Change]:
    """Each figure of each row beside what it was, by the statistics of `compare`, experiment by experiment.

    Args:
        before: the records to reproduce.
        after: those of the same cells now.
        names: figures to compare; all except timed ones if empty.
        threshold: ratio up to which a figure that differs beyond noise still counts as the same.
    """
    now = grouped(after, lambda record: record.cell.fields)
    ok = [record for record in before if record.status == "ok"]
    kinds = grouped(ok, lambda record: record.cell.fields)
    return [change for fields, own in kinds.items() for change in compare(own, now[fields], names, threshold)]


def is_within(change: Change) -> bool:
    """Whether a figure is within noise, within the threshold, or not judged."""
    return change.verdict not in NOT_WITHIN


def render_reproduction(changes: Sequence[Change], form: Format) -> str:
    """A row per figure: what it was, what it is, their ratio with its interval, and the verdict."""
    if form == "json" or form == "csv":
        return raw([change.line() for change in changes], form)
    lines = [_line(change) for change in changes]
    frame = pd.DataFrame(lines)
    told = [name for name in frame.columns if name in ("figure", "was", "is", "ratio", "verdict")]
    ways = [name for name in frame.columns if name not in told]
    varied = [name for name in ways if name in ("task", "network", "method", "part") or frame[name].nunique() > 1]
    shown_columns = [name for name in varied if frame[name].ne("").any()]
    return written(frame[[*shown_columns, *told]], form, {"was", "is", "ratio"})


def _line(change: Change) -> dict[str, str]:
    row = {name: "" if value is None else str(value) for name, value in change.row.items() if name != "suite"}
    if change.declared is None:
        return {**row, "figure": "status", "was": "ok", "is": shown(change.reason), "ratio": "–",
                "verdict": VERDICTS[change.verdict]}  # fmt: skip
    unit, ratio = change.declared.unit, change.ratio
    interval = "" if ratio.low != ratio.low or ratio.low == ratio.high else f" ({ratio.low:.3g}–{ratio.high:.3g})"
    same = ratio.middle == 1 and (ratio.low != ratio.low or ratio.low == ratio.high)
    return {
        **row,
        "figure": f"{change.declared.title or change.figure} {unit.symbol}".rstrip(),
        "was": unit.write(change.a),
        "is": unit.write(change.b),
        "ratio": f"{ratio.middle:.3g}{interval}",
        "verdict": "the same" if same and change.verdict in ("noise", "unknown") else VERDICTS[change.verdict],
    }
