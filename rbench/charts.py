"""Charts: figures over what grows from row to row, declared by an experiment and drawn by `rbench plot`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chart:
    """Lines of figures over a field, medians over seeds with the seeds' range around them.

    Attributes:
        kind: its name on the command line.
        x: the field along the horizontal axis.
        y: figures along the vertical axis, each drawn in a dash of its own.
        lines: fields of which each combination has a colour.
        panels: fields of which each combination has a panel.
        x_title: what the horizontal axis is called; the field's name if empty.
        y_title: what the vertical axis is called; the figures' titles if empty.
        logarithmic: the axes that are logarithmic: `xy`, `x`, `y` or none.
        decades: the exponent of each figure in x is fitted over so many decades below the largest x, and stated; 0 for
            no exponent, infinity for all x.
        complete: field of a share; rows where it is not 1 have no point. Empty for none.
    """

    kind: str
    x: str
    y: tuple[str, ...]
    lines: tuple[str, ...] = ("method",)
    panels: tuple[str, ...] = ("task",)
    x_title: str = ""
    y_title: str = ""
    logarithmic: str = "xy"
    decades: float = 0
    complete: str = ""
