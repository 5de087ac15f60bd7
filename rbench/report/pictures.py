"""Pictures as data: what there is to draw, apart from how a file or a page draws it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = Literal["line", "step", "points", "bars"]


@dataclass(frozen=True)
class Trace:
    """One line, staircase, cloud of points or row of bars.

    Attributes:
        label: what it is called in the legend; traces of one label in several panels look alike.
        x: where; of bars, text that names each.
        y: how high.
        low: the lower end of a band, or of an error bar of points and bars; None for neither.
        high: the upper end.
        shape: how the points are joined.
        dash: traces of one label that show several figures have each its own dash.
        hover: what a page says of each point; empty for x and y alone.
    """

    label: str
    x: Numbers | Sequence[str]
    y: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    shape: Shape = "line"
    dash: int = 0
    hover: Sequence[str] = ()


@dataclass(frozen=True)
class Grid:
    """Coloured cells: a heat map.

    Attributes:
        x: names of the columns, or numbers along a continuous axis.
        y: names of the rows, or numbers.
        values: (rows, columns); nan where nothing is known.
        title: what the colour means.
        log: whether the colour is of the logarithm.
    """

    x: Sequence[str] | Numbers
    y: Sequence[str] | Numbers
    values: Numbers
    title: str
    log: bool = False


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
    """

    title: str
    x_title: str
    y_title: str
    traces: tuple[Trace, ...] = ()
    grid: Grid | None = None
    log: str = ""


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
