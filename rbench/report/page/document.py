"""The page as text: its sections, tables and plots, in one HTML file."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import rbench
from rbench.report.frame import grouped
from rbench.report.page import embedding
from rbench.report.page.beside import Joined, beside
from rbench.report.page.drawing import colour_scale, drawn
from rbench.report.page.provenance import provenance
from rbench.report.page.records import embedded
from rbench.report.page.runs import ReportedRun
from rbench.report.page.sections import pictures_of, title_of
from rbench.report.page.swatches import dash_swatch, swatch
from rbench.report.page.tables import tables_of
from rbench.report.pictures import Panel
from rbench.report.styles import Style, dashes, legend, styles
from rbench.text import visible

FILES = Path(__file__).parent


def render_page(runs: Sequence[ReportedRun]) -> str:
    """The HTML of a page on runs.

    It asks nothing of any network, which its Content-Security-Policy forbids; text of records cannot become markup.

    Raises:
        DataError: the data of a task are not the same in all records of a run.
    """
    names = [run.name for run in runs]
    pictures = beside([pictures_of(run) for run in runs], names)
    records = [(run.name, record) for run in runs for record in run.records]
    starts = list(accumulate((len(run.records) for run in runs), initial=0))
    sheets = tables_of(runs, starts)
    panels: list[dict[str, Any]] = []
    sections = _sections(pictures, panels)
    script = (FILES / "page.js").read_text(encoding="utf-8")
    text: str = _template().render(
        title=f"rbench: {', '.join(names)}",
        version=rbench.__version__,
        policy=embedding.policy(script),
        script=Markup(script),
        style=Markup((FILES / "page.css").read_text(encoding="utf-8")),
        table_style=Markup(embedding.table_style()),
        runs=[{"name": run.name, "facts": provenance(run), "warnings": run.warnings} for run in runs],
        sheets=sheets,
        sections=sections,
        data=Markup(embedding.script_json({"sheets": sheets, "panels": panels})),
        packed={
            "records": Markup(embedding.packed_json(embedded(records))),
            "tables": Markup(embedding.table_script()),
            **({"plots": Markup(embedding.plotly_script())} if panels else {}),
        },
    )
    return text


def _sections(pictures: Sequence[Joined], panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the template needs of the pictures, by kind; the figures of their panels are appended to `panels`.

    A label looks the same in all of them.
    """
    known = styles([joined.picture for joined in pictures])
    return [
        {"title": title_of(kind), "pictures": [_picture(joined, known, panels) for joined in own]}
        for kind, own in grouped(pictures, lambda joined: joined.picture.kind).items()
    ]


def _picture(joined: Joined, known: Mapping[str, Style], panels: list[dict[str, Any]]) -> dict[str, Any]:
    picture = joined.picture
    dashed = dashes([picture])
    scale = colour_scale([shown.panel.grid for shown in joined.panels if shown.panel.grid is not None])
    first = len(panels)
    panels += [drawn(shown, known, dashed, scale) for shown in joined.panels]
    entries = legend([picture]).items()
    return {
        "title": picture.title,
        "notes": picture.notes,
        "across": picture.across,
        "panels": [
            {"place": first + n, "panel": one.panel, "rows": _rows(one.panel)} for n, one in enumerate(joined.panels)
        ],
        "legend": [{"label": label, "notes": notes, "swatch": swatch(known.get(label))} for label, notes in entries],
        "figures": [{"title": figure, "swatch": dash_swatch(dash)} for figure, dash in dashed.items()],
        "axes": [axis for axis in "xy" if any(_switches(panel, axis) for panel in panels[first:])],
    }


def _rows(panel: Panel) -> int:
    """How many rows with names a panel has, by which it is high; 0 for an axis of numbers."""
    grid = panel.grid
    return len(panel.rows) or (len(grid.y) if grid is not None and isinstance(grid.y[0], str) else 0)


def _switches(panel: dict[str, Any], axis: str) -> bool:
    """Whether an axis of a panel can be linear and logarithmic."""
    own = panel["layout"][f"{axis}axis"]
    return own["type"] != "category" and "tickvals" not in own


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("rbench.report.page", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    return environment.get_template("page.html.j2")
