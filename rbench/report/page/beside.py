"""Pictures of several runs as one: what can share axes does, and what cannot stands beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from rbench.report.frame import grouped
from rbench.report.pictures import Panel, Picture, Trace


class Shown(NamedTuple):
    """A panel of a page.

    Attributes:
        panel: what is drawn.
        runs: which run each trace is of, by its place.
        grid_run: which run the grid is of.
    """

    panel: Panel
    runs: tuple[int, ...]
    grid_run: int = 0


class Joined(NamedTuple):
    """A picture of a page: the picture with the traces of all runs, and its panels with the run of each trace."""

    picture: Picture
    panels: tuple[Shown, ...]


def beside(pictures: Sequence[Sequence[Picture]], names: Sequence[str]) -> list[Joined]:
    """The pictures of each run, one for those of the same kind and title.

    Panels without grid or rows that have the same titles become one. A label that several runs have is followed by the
    name of the run; so is the title of a panel that several runs have and that cannot be shared. A note that is not on
    all of them follows the names of its runs.

    Args:
        pictures: of each run.
        names: of the runs.
    """
    owned = [(picture, run) for run, own in enumerate(pictures) for picture in own]
    return [_joined(alike, names) for alike in grouped(owned, lambda pair: (pair[0].kind, pair[0].title)).values()]


def shared_notes(said: Mapping[str, Sequence[str]]) -> list[str]:
    """The notes on each run, by its name; those that are not on all runs, after the names of theirs."""
    runs = grouped(((note, name) for name, notes in said.items() for note in notes), lambda pair: pair[0])
    owners = {note: list(dict.fromkeys(name for _, name in pairs)) for note, pairs in runs.items()}
    return [note if len(names) == len(said) else f"{', '.join(names)}: {note}" for note, names in owners.items()]


def _joined(alike: list[tuple[Picture, int]], names: Sequence[str]) -> Joined:
    runs_of = grouped(
        {(trace.label, run) for picture, run in alike for panel in picture.panels for trace in panel.traces},
        lambda pair: pair[0],
    )
    shared = {label for label, pairs in runs_of.items() if len(pairs) > 1}
    panels = [(_named(panel, shared, names[run]), run) for picture, run in alike for panel in picture.panels]
    shown = [
        one
        for own in grouped(panels, lambda pair: (pair[0].title, pair[0].x_title, pair[0].y_title)).values()
        for one in (_apart(own, names) if any(panel.grid or panel.rows for panel, _ in own) else [_together(own)])
    ]
    notes: dict[str, list[str]] = {name: [] for name in dict.fromkeys(names[run] for _, run in alike)}
    for one, run in alike:
        notes[names[run]] += one.notes
    picture = replace(alike[0][0], panels=tuple(one.panel for one in shown), notes=tuple(shared_notes(notes)))
    return Joined(picture, tuple(shown))


def _named(panel: Panel, shared: set[str], run: str) -> Panel:
    """A panel whose traces of shared labels are named after their run; rows keep their labels, as nothing is shared."""
    if panel.rows:
        return panel
    return replace(
        panel, traces=tuple(_of_run(trace, run) if trace.label in shared else trace for trace in panel.traces)
    )


def _of_run(trace: Trace, run: str) -> Trace:
    return replace(trace, label=f"{trace.label} · {run}") if trace.label else trace


def _together(own: list[tuple[Panel, int]]) -> Shown:
    traces = tuple(trace for panel, _ in own for trace in panel.traces)
    return Shown(replace(own[0][0], traces=traces), tuple(run for panel, run in own for _ in panel.traces))


def _apart(own: list[tuple[Panel, int]], names: Sequence[str]) -> list[Shown]:
    several = len({run for _, run in own}) > 1
    return [
        Shown(
            replace(panel, title=" · ".join(filter(None, (panel.title, names[run])))) if several else panel,
            (run,) * len(panel.traces),
            run,
        )
        for panel, run in own
    ]
