"""Tables and notes in every form to look at: Markdown, LaTeX, HTML, and a terminal's."""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal, TypeAlias

import pandas as pd

from rbench.report.terminal import console_tables
from rbench.report.value import Value
from rbench.text import html, latex, markdown, paragraph, visible

Look: TypeAlias = Literal["markdown", "latex", "html", "terminal"]
"""Forms to look at; the others hold raw rows."""

WRITE: dict[Look, Callable[[str], str]] = {"markdown": markdown, "latex": latex, "html": html, "terminal": visible}
_LATEX_LOOK = r"\footnotesize\setlength{\tabcolsep}{3pt}\renewcommand{\arraystretch}{1.25} "
"""So that a table with intervals fits an article's page, and their ends do not touch."""

BEST = {"latex": "Bold"}
"""What a legend calls the mark of the best, where that is no `*`."""


def written(shown: pd.DataFrame, form: Look, figures: Collection[str], title: str = "") -> str:
    """A table in a form to look at.

    Args:
        shown: text and `Value`.
        form: the form; a terminal's has as many columns of values as fit, and says which do not.
        figures: titles of the columns to align to the right.
        title: above the table; none if empty.
    """
    if form == "terminal":
        return console_tables([(title, shown)], figures)
    alignment = ["right" if name in figures else "left" for name in shown.columns]
    write = WRITE[form]
    if form == "latex":
        return _latex(shown, alignment, write(title))
    cells = shown.map(lambda cell: write(str(cell))).rename(columns=write)
    if form == "html":
        table = _tabulated(cells, "unsafehtml", alignment)
        return table.replace("<table>", f"<table>\n<caption>{write(title)}</caption>", 1) if title else table
    heading = f"**{write(title)}**\n\n" if title else ""
    return heading + _tabulated(cells, "pipe", alignment)


def _tabulated(cells: pd.DataFrame, form: str, alignment: Sequence[str]) -> str:
    from tabulate import tabulate

    rows, headers = cells.to_numpy().tolist(), list(cells.columns)
    aligned: dict[str, Any] = {"colalign": alignment} if rows else {}
    return str(tabulate(rows, headers, tablefmt=form, disable_numparse=True, **aligned))


def _latex(shown: pd.DataFrame, alignment: Sequence[str], title: str) -> str:
    cells = shown.map(lambda cell: cell.latex() if isinstance(cell, Value) else latex(str(cell)))
    styled = cells.rename(columns=latex).style.hide(axis="index")
    text = str(styled.to_latex(hrules=True, column_format="".join(side[0] for side in alignment)))
    # After the end of a row, LaTeX would read these as a part of it.
    text = re.sub(r"^(?=[*\[])", "{}", text.rstrip(), flags=re.MULTILINE)
    above = rf"\textbf{{{title}}}\par\smallskip\noindent" if title else ""
    return "\n".join([rf"{{\par\medskip\noindent{_LATEX_LOOK}{above}", text, r"\par}"])


def written_notes(notes: Sequence[str], form: Look) -> str:
    """Notes below a table: a list in Markdown and HTML, small print in LaTeX, lines on a terminal."""
    if form == "terminal":
        return "\n".join(visible(note) for note in notes)
    if form == "markdown":
        return "\n".join(f"- {paragraph(note)}" for note in notes)
    if form == "html":
        return "\n".join(["<ul>", *(f"<li>{html(note)}</li>" for note in notes), "</ul>"])
    broken = (re.sub(r",(?=\S)", r",\\allowbreak{}", latex(note)) for note in notes)  # within SPECs
    return "\n".join([r"{\footnotesize\raggedright", *(rf"\par\noindent {note}" for note in broken), r"\par}"])


def caption(text: str, form: Look) -> str:
    """A sentence above all tables."""
    if form == "latex":
        return rf"\par\noindent {latex(text)}\par\medskip"
    return f"<p>{html(text)}</p>" if form == "html" else WRITE[form](text) if form == "terminal" else paragraph(text)
