"""Plots as files: exactly the named file is written, completely or not at all."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rbench.errors import RbenchError
from rbench.figures import PEAK_HOST, STEP_SECONDS
from rbench.report.scaling import Series
from rbench.text import visible

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


def new_plot(width: float, height: float) -> "Figure":
    """An empty figure, in inches.

    Raises:
        RbenchError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise RbenchError("plots are drawn with matplotlib; pip install 'rbench[report]'") from None
    return Figure(figsize=(width, height), layout="constrained")


def check_plot(path: Path) -> None:
    """Refuse a file that no plot can be written to.

    Raises:
        RbenchError: matplotlib is not installed, or does not know the file's ending; the path is a folder, a device or
            otherwise no file; its folder does not exist; or it cannot be written.
    """
    known = new_plot(1, 1).canvas.get_supported_filetypes()
    try:
        if path.is_dir():
            raise _refusal(path, f"it is a folder; name a file, such as {path / 'plot.png'}")
        if path.exists() and not path.is_file():
            raise _refusal(path, "it is no file but a device or a pipe; name a file, such as plot.png")
        if _form(path) not in known:
            raise _refusal(path, f"its ending {path.suffix!r} is none of {', '.join(f'.{name}' for name in known)}")
        folder = path.resolve().parent
        if not folder.is_dir():
            raise _refusal(path, f"there is no folder {folder}; make it, or name a file in another")
        if not os.access(path if path.exists() else folder, os.W_OK) or not os.access(folder, os.W_OK):
            raise _refusal(path, "it cannot be written; change its permissions, or name another file")
    except (OSError, ValueError) as error:  # such as a name that is too long; refusals are neither
        raise _refusal(path, str(error)) from None


def save_plot(figure: "Figure", path: Path, dpi: int) -> None:
    """Write a figure in the form of the path's ending; an earlier file stays until this one is complete.

    Raises:
        RbenchError: as `check_plot`, or it could not be drawn or written.
    """
    check_plot(path)
    target = path.resolve()  # the file behind a link
    drawn = io.BytesIO()
    temporary = target.with_name(f".rbench-plot-{os.getpid()}")
    try:
        figure.savefig(drawn, format=_form(path), dpi=dpi)
        temporary.write_bytes(drawn.getbuffer())
        temporary.replace(target)
    except (OSError, RuntimeError, ValueError) as error:  # forms such as .pgf need programs that may be missing
        raise _refusal(path, str(error)) from None
    finally:
        temporary.unlink(missing_ok=True)


def plot_sweeps(found: Sequence[Series], path: Path) -> None:
    """Write a plot of time and memory over size, a column per sweep, both axes logarithmic.

    Raises:
        RbenchError: matplotlib is not installed, or the file cannot be written.
    """
    sweeps = list(dict.fromkeys(series.sweep for series in found))
    places = list(dict.fromkeys(series.backend for series in found))
    labels = list(dict.fromkeys(series.label for series in found))
    picture = new_plot(3.4 * len(sweeps) + 1, 6.4)
    axes = picture.subplots(2, len(sweeps), squeeze=False, sharex="col", sharey="row")
    for series in found:
        look = {"color": f"C{labels.index(series.label)}", "markersize": 4, "linewidth": 1.3}
        style = ("o-", "s--", "^:", "v-.")[places.index(series.backend) % 4]
        label = plain_label(series.label) + (f", {series.backend}" if len(places) > 1 else "")
        for part, drawn in zip(axes[:, sweeps.index(series.sweep)], (STEP_SECONDS, PEAK_HOST), strict=True):
            sizes, values = series.points(drawn.name)
            part.plot(sizes, values * drawn.unit.factor, style, label=label, **look)
    for part in axes.flat:
        part.set(xscale="log", yscale="log")
        part.grid(visible=True, which="major", alpha=0.3)
    for part, sweep in zip(axes[1], sweeps, strict=True):
        part.set_xlabel({"n": "n, parameters", "d": "d, outputs", "depth": "layers"}.get(sweep, sweep))
    axes[0, 0].set_ylabel(f"{STEP_SECONDS.unit.symbol} per step")
    axes[1, 0].set_ylabel(f"peak {PEAK_HOST.unit.symbol}")
    handles = {text: line for part in axes[0] for line, text in zip(*part.get_legend_handles_labels(), strict=True)}
    picture.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=2 + len(sweeps), frameon=False)
    save_plot(picture, path, dpi=150)


def label_plainly(*axes: "Axis") -> None:
    """Write 1, 2 and 5 times the powers of ten along logarithmic axes of under three decades: powers would be few."""
    from matplotlib.ticker import LogLocator

    for axis in axes:
        low, high = axis.get_view_interval()
        if axis.get_scale() == "log" and high < 1000 * low:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")


def plain_label(text: str) -> str:
    """Text that a plot shows literally, even with a leading `_` or dollars."""
    shown = visible(text).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def _form(path: Path) -> str:
    return path.suffix[1:].lower()


def _refusal(path: Path, why: str) -> RbenchError:
    return RbenchError(f"cannot write the plot to {path}: {why}")
