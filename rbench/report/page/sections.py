"""Which pictures a page has, and in which order; what has no data is left out."""

from rbench.report.kinds import every_picture
from rbench.report.page.gate import gate_pictures
from rbench.report.page.runs import ReportedRun
from rbench.report.page.trials import trial_pictures
from rbench.report.pictures import Picture

TITLES = {
    "curves": "Curves of training",
    "pareto": "Time, accuracy and memory",
    "profile": "Performance profile",
    "ranks": "Ranks over tasks",
    "breakdown": "What a step is made of",
    "scaling": "Scaling",
    "heatmap": "Heat map",
    "tuning": "Tuning: trials in turn",
    "rate": "Tuning: sensitivity to the rate",
    "gate": "Equivalence gate",
}
"""What sections are called; others are called as their kind."""


def title_of(kind: str) -> str:
    """The title of a section."""
    return TITLES.get(kind, kind[:1].upper() + kind[1:])


def pictures_of(run: ReportedRun) -> list[Picture]:
    """The pictures of a run, in the order of a page's sections."""
    return [*every_picture(run.records), *trial_pictures(run.trials), *gate_pictures(run.records or run.trials)]
