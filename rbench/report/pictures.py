"""Pictures as data: what there is to draw, apart from how a file or a page draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = Literal["line", "step", "points", "bars", "rule"]


@dataclass(frozen=True)
class Trace:
    """One line, staircase, cloud of points or set of bars.

    Attributes:
        label: what it is called in the legend; traces of one label in several panels look alike.
        x: where; of bars, how long each is.
        y: how high; of bars, the row in which each lies.
        low: the lower end of a band, or of the points' error bars; None for neither.
        high: the upper end.
        left: the left end of the points' error bars along x; None for none.
        right: the right end.
        shape: how the points are joined. `bars` are horizontal and stand one after the other, in order of the traces. A
            `rule` is a black line without marks, for what is no method, such as a bound.
        figure: which of several figures of the label it shows, in words; each has its own dash. Of a rule `thick`,
            `thin`, or empty for a dotted one.
        note: what the legend adds to the label, such as a fitted exponent.
        hover: what a page says of each point; empty for x and y alone.
    """

    label: str
    x: Numbers
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    left: Numbers | None = None
    right: Numbers | None = None
    shape: Shape = "line"
    figure: str = ""
    note: str = ""
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Grid:
    """Coloured cells: a heat map. Those of one picture share a scale of colours.

    Attributes:
        x: names of the columns, or numbers along a continuous axis.
        y: names of the rows, from the top, or numbers.
        values: (rows, columns); nan where nothing is known.
        title: what the colour means.
        log: whether the colour is of the logarithm.
        words: (rows, columns), what stands in each cell; empty for nothing.
    """

    x: Sequence[str] | Numbers
    y: Sequence[str] | Numbers
    values: Numbers
    title: str
    log: bool = False
    words: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: above it.
        x_title: along the horizontal axis.
        y_title: along the vertical axis.
        traces: what is drawn in it.
        grid: cells below the traces, or None.
        log: the axes that begin logarithmic: `x`, `y`, `xy` or none.
        rows: names at 0, 1, … of the vertical axis, which then runs downward; empty for numbers. A trace that is called
            as a row needs no legend.
    """

    title: str
    x_title: str
    y_title: str
    traces: tuple[Trace, ...] = ()
    grid: Grid | None = None
    log: str = ""
    rows: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """Panels that belong together.

    Attributes:
        kind: its name on the command line.
        title: above all panels.
        panels: in reading order.
        across: panels in a row; 0 for as many as fit.
        notes: sentences that its reader must know, such as what a band is.
    """

    kind: str
    title: str
    panels: tuple[Panel, ...]
    across: int = 0
    notes: tuple[str, ...] = ()
