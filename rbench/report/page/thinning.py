"""Lines with fewer points than a screen has pixels, which look the same."""

import numpy as np
from numpy.typing import NDArray

from rbench.report.pictures import Numbers

COLUMNS = 400
"""Columns of a panel; in each a line keeps its first, last, lowest and highest point."""


def kept(x: Numbers, y: Numbers) -> NDArray[np.intp]:
    """Places of the points of a line to draw, in order: all of them where they are few, and gaps.

    The columns are those of a linear and, where x allows, of a logarithmic axis, as the page switches between them.

    Args:
        x: (N,).
        y: (N,); nan is a gap.
    """
    if len(x) <= 4 * COLUMNS:
        return np.arange(len(x))
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    gaps = np.setdiff1d(np.arange(len(x)), known)
    chosen = [gaps, known[_ends(_columns(x[known]), y[known])]]
    positive = known[x[known] > 0]
    if len(positive):
        chosen.append(positive[_ends(_columns(np.log(x[positive])), y[positive])])
    return np.unique(np.concatenate(chosen))


def _columns(x: Numbers) -> NDArray[np.intp]:
    low, high = x.min(), x.max()
    share: Numbers = (x - low) / ((high - low) or 1.0)
    return (share * (COLUMNS - 1)).astype(np.intp)


def _ends(column: NDArray[np.intp], y: Numbers) -> NDArray[np.intp]:
    """Places of the first, last, lowest and highest point of each column."""
    chosen = []
    for order in (np.lexsort((y, column)), np.argsort(column, kind="stable")):
        begins = np.flatnonzero(np.diff(column[order], prepend=-1))
        chosen += [order[begins], order[np.append(begins[1:], len(order)) - 1]]
    return np.concatenate(chosen)
