"""Tables turned: values of a column beside each other, or figures as rows."""

from collections.abc import Collection

import pandas as pd

from rbench.errors import RbenchError
from rbench.names import shown

EMPTY = ("–", "")
"""What stands where there is no figure, and no word."""

FIGURE = "figure"
"""The heading above figures that are rows."""

OTHERS = ("status", "spec")
"""Columns that neither name a row nor hold a figure."""


def across(cells: pd.DataFrame, figures: Collection[str], name: str) -> pd.DataFrame:
    """One row for those that differ in a column alone: each value's figures beside each other, once where all agree.

    What the value itself says, such as a task its budget, is left out, and so are figures that no row has.

    Raises:
        RbenchError: the column is none of those that name a row; or two rows are alike but for it.
    """
    names = [str(one) for one in cells if one not in figures and one not in OTHERS]
    if name not in names:
        raise RbenchError(f"values of {shown(name)} cannot stand beside each other; choose of: {', '.join(names)}")
    by_value = cells.groupby(name, sort=False)
    told = [one for one in names if cells[one].nunique() > 1 and by_value[one].nunique().max() == 1]
    keys = [one for one in names if one != name and one not in told]
    rest = [str(one) for one in cells if one not in names]
    if not keys or cells.duplicated([*keys, name]).any():
        raise RbenchError(f"rows differ in more than {shown(name)} and {', '.join(keys)}; show another column")
    frames = {str(value): own.set_index(keys)[rest] for value, own in by_value}
    wide = pd.concat(frames, axis=1).fillna(EMPTY[0])
    first = next(iter(frames))
    once = [one for one in rest if all(wide[value, one].equals(wide[first, one]) for value in frames)]
    columns = {f"{value} {one}": wide[value, one] for value in frames for one in rest if one not in once}
    turned = pd.DataFrame(columns | {one: wide[first, one] for one in once})
    heads = sorted(turned.columns[~turned.isin(EMPTY).all()], key=lambda head: head.endswith(OTHERS))
    return turned[heads].reset_index()


def transposed(cells: pd.DataFrame, figures: Collection[str]) -> pd.DataFrame:
    """Figures as rows, and a column for each row, which is called by its words."""
    keys = [name for name in cells if name not in figures and name not in OTHERS]
    heads = cells[keys].map(str).agg(", ".join, axis=1)
    turned = cells.drop(columns=keys).T
    turned.columns = pd.Index(list(heads))
    turned.insert(0, FIGURE, list(turned.index), allow_duplicates=True)
    return turned.reset_index(drop=True)
