"""The trials of `rbench tune`: how each ended up, and how that depends on the rate."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rbench.errors import SpecError
from rbench.figures import TRAINING, Figure, judging
from rbench.report.frame import grouped
from rbench.report.labels import labels_of
from rbench.report.pictures import Panel, Picture, Trace
from rbench.report.problems import untuned
from rbench.run.record import Record
from rbench.spec import parse

RATE = "lr"


def trial_pictures(trials: Sequence[Record]) -> list[Picture]:
    """The best figure so far over the trials of each method, and each trial's figure over its rate; a panel a task."""
    tasks = {task: own for task, own in grouped(trials, lambda one: one.training.task).items() if _judge(own)}
    if not tasks:
        return []
    methods = labels_of(untuned(one.training.method) for one in trials)
    notes = _failures(trials, methods)
    about = "Each mark is a trial, judged on a validation split; of the line each point is the best trial so far."
    tuning = Picture("tuning", "", _panels(tasks, methods, _in_turn, "trial", ""), notes=(about, *notes))
    rates = _panels(tasks, methods, _over_rate, "learning rate", "x")
    about = "Each mark is a trial of `rbench tune`; its other searched settings differ too."
    over = Picture("rate", "", rates, notes=(about, *notes))
    return [tuning, *([over] if any(panel.traces for panel in rates) else [])]


def _panels(
    tasks: Mapping[str, list[Record]], methods: Mapping[str, str], draw: Any, x_title: str, log: str
) -> tuple[Panel, ...]:
    panels, titles = [], labels_of(tasks)
    for task, own in tasks.items():
        figure = _judge(own)
        assert figure is not None
        by_method = grouped(own, lambda one: methods[untuned(one.training.method)])
        traces = [trace for name, found in by_method.items() for trace in draw(name, found, figure)]
        panels.append(Panel(titles[task], x_title, _title(figure), tuple(traces), log=log + "y"))
    return tuple(panels)


def _judge(trials: Sequence[Record]) -> Figure | None:
    """The figure that judges the trials of a task: the first that any has."""
    known = (one for one in judging(TRAINING) if any(trial.figures.get(one.name) is not None for trial in trials))
    return next(known, None)


def _title(figure: Figure) -> str:
    name = figure.title.removeprefix("test ")
    words = f"1 − {name}" if figure.better == "higher" else name
    return f"validation {words} {figure.unit.symbol}".rstrip()


def _score(trial: Record, figure: Figure) -> float:
    value = trial.figures.get(figure.name) if trial.status == "ok" else None
    return math.nan if value is None else float(figure.minimised(value)) * figure.unit.factor


def _in_turn(name: str, trials: Sequence[Record], figure: Figure) -> list[Trace]:
    scores = np.array([_score(trial, figure) for trial in trials])
    if np.isnan(scores).all():
        return []
    turns = np.arange(1.0, len(trials) + 1)
    best = np.fmin.accumulate(scores)
    return [
        Trace(name, turns, scores, shape="points", hover=[_words(trial) for trial in trials]),
        Trace(name, turns, best, shape="step"),
    ]


def _over_rate(name: str, trials: Sequence[Record], figure: Figure) -> list[Trace]:
    rated = [(rate, trial) for trial in trials if (rate := _rate(trial)) is not None]
    rated.sort(key=lambda pair: pair[0])
    scores = np.array([_score(trial, figure) for _, trial in rated])
    if not len(scores) or np.isnan(scores).all():
        return []
    rates = np.array([rate for rate, _ in rated])
    return [Trace(name, rates, scores, shape="points", hover=[_words(trial) for _, trial in rated])]


def _rate(trial: Record) -> float | None:
    try:
        rate = parse(trial.training.method)[1].get(RATE)
    except SpecError:
        return None
    return float(rate) if isinstance(rate, int | float) and not isinstance(rate, bool) and rate > 0 else None


def _words(trial: Record) -> str:
    return f"{trial.training.method}: {trial.status}" + (f", {trial.reason}" if trial.reason else "")


def _failures(trials: Sequence[Record], methods: Mapping[str, str]) -> list[str]:
    """A sentence on the trials that have no mark."""
    failed = Counter((methods[untuned(one.training.method)], one.status) for one in trials if one.status != "ok")
    if not failed:
        return []
    known = ", ".join(f"{count} of {name} {status}" for (name, status), count in failed.items())
    return [f"Trials without a mark: {known}."]
