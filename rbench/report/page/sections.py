"""Which pictures a page has, and in which order; what has no data is left out."""

from rbench.report.page.gate import gate_pictures
from rbench.report.page.runs import ReportedRun
from rbench.report.page.trials import trial_pictures
from rbench.report.pictures import Picture


def pictures_of(run: ReportedRun) -> list[Picture]:
    """The pictures of a run, in the order of a page's sections."""
    return [*trial_pictures(run.trials), *gate_pictures(run.records or run.trials)]
