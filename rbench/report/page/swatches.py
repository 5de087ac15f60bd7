"""The legend's samples of lines and marks, as SVG: what tells labels apart without colour too."""

import math

from markupsafe import Markup

from rbench.report.styles import Style

DASHED = {"solid": "", "dash": "7 3", "dot": "2 3", "dashdot": "7 3 2 3"}

CORNERS = {"triangle-up": (3, -90), "triangle-down": (3, 90), "diamond": (4, -90), "square": (4, -45),
           "pentagon": (5, -90), "hexagon": (6, -90)}  # fmt: skip
"""Of the marks that are regular polygons, the number of corners and the direction of the first, in degrees."""

CROSSES = {"cross": "M-5 0H5M0-5V5", "x": "M-4-4L4 4M-4 4L4-4"}


def swatch(style: Style | None) -> Markup:
    """A short line with a mark; of what has no style, a line in the colour of text."""
    if style is None:
        return _svg('<path d="M0 8H32" stroke="currentColor" stroke-width="2"/>')
    line = f'<path d="M0 8H32" stroke="{style.color}" stroke-width="2" stroke-dasharray="{DASHED[style.dash]}"/>'
    return _svg(f'{line}<g transform="translate(16 8)" fill="{style.color}">{_mark(style)}</g>')


def dash_swatch(dash: str) -> Markup:
    """A short line with a dash, which stands for a figure of any label."""
    return _svg(f'<path d="M0 8H32" stroke="currentColor" stroke-width="2" stroke-dasharray="{DASHED[dash]}"/>')


def _svg(content: str) -> Markup:
    return Markup(f'<svg width="32" height="16" viewBox="0 0 32 16" aria-hidden="true">{content}</svg>')


def _mark(style: Style) -> str:
    if style.mark in CROSSES:
        return f'<path d="{CROSSES[style.mark]}" stroke="{style.color}" stroke-width="3"/>'
    if style.mark == "star":
        return _polygon([(6.0 if n % 2 == 0 else 2.6, 36 * n - 90) for n in range(10)])
    if style.mark in CORNERS:
        count, first = CORNERS[style.mark]
        return _polygon([(5.5, first + 360 * n / count) for n in range(count)])
    return '<circle r="4.5"/>'


def _polygon(corners: list[tuple[float, float]]) -> str:
    places = ((r * math.cos(math.radians(angle)), r * math.sin(math.radians(angle))) for r, angle in corners)
    return '<polygon points="{}"/>'.format(" ".join(f"{x:.1f},{y:.1f}" for x, y in places))
