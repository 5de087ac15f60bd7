"""How traces look: a colour, a mark and a dash for each label, told apart without colour too."""

from collections.abc import Iterable
from typing import NamedTuple

from rbench.report.pictures import Picture, Trace

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""The palette of Okabe and Ito (2008), which colour-blind readers can tell apart, without its yellow, too light for
lines on white."""

MARKS = ("circle", "square", "triangle-up", "triangle-down", "diamond", "cross", "x", "star", "pentagon", "hexagon")
"""Plotly's names. Colours and marks have lengths without a common factor: 70 labels look different."""

DASHES = ("solid", "dash", "dot", "dashdot")
"""Plotly's names."""


class Style(NamedTuple):
    """How the traces of a label look.

    Attributes:
        color: as hexadecimal RGB.
        mark: one of `MARKS`.
        dash: one of `DASHES`, for traces that do not have one for their figure.
    """

    color: str
    mark: str
    dash: str


def styles(pictures: Iterable[Picture]) -> dict[str, Style]:
    """The style of each label of pictures that are seen together, in order of their first traces; rules have none.

    Traces without a label, which no legend names, are black circles.
    """
    found = dict.fromkeys(trace.label for trace in _traces(pictures) if trace.label and trace.shape != "rule")
    return {"": Style("#000000", "circle", "solid")} | {
        label: Style(COLORS[n % len(COLORS)], MARKS[n % len(MARKS)], DASHES[n % len(DASHES)])
        for n, label in enumerate(found)
    }


def dashes(pictures: Iterable[Picture]) -> dict[str, str]:
    """The dash of each figure that traces tell apart; empty where they show one figure."""
    found = dict.fromkeys(trace.figure for trace in _traces(pictures) if trace.figure and trace.shape != "rule")
    return {figure: DASHES[n % len(DASHES)] for n, figure in enumerate(found)}


def legend(pictures: Iterable[Picture]) -> dict[str, list[str]]:
    """The labels that a legend of pictures names, and the notes on each, in order, each once."""
    found: dict[str, dict[str, None]] = {}
    for panel in (panel for picture in pictures for panel in picture.panels):
        for trace in panel.traces:
            if trace.label and trace.label not in panel.rows:
                found.setdefault(trace.label, {}).update({trace.note: None} if trace.note else {})
    return {label: list(notes) for label, notes in found.items()}


def _traces(pictures: Iterable[Picture]) -> list[Trace]:
    return [trace for picture in pictures for panel in picture.panels for trace in panel.traces]
