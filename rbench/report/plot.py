"""Plots as files: exactly the named file is written, completely or not at all."""

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rbench.errors import RbenchError
from rbench.report.output_file import check_output, refusal

if TYPE_CHECKING:
    from matplotlib.figure import Figure


DPI = 200
"""Dots per inch of pictures that are no drawings."""

STYLE = {
    "font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
    "legend.fontsize": 7, "axes.linewidth": 0.6, "hatch.linewidth": 0.5, "hatch.color": "white",
    "pdf.fonttype": 42, "ps.fonttype": 42, "svg.hashsalt": "rbench",
}  # fmt: skip
"""Sizes in points, legible in print; fonts are embedded, and one picture is always the same file."""

UNDATED = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
"""Metadata by form, without the time."""


@contextmanager
def style() -> Iterator[None]:
    """A block in which matplotlib draws with `STYLE`.

    Raises:
        RbenchError: matplotlib is not installed.
    """
    new_plot(1, 1)
    import matplotlib

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # of text from records: a box is drawn
        yield


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
    check_output(path, [f".{name}" for name in sorted(known, key=lambda name: name != "png")], "plot")


def save_plot(figure: "Figure", path: Path) -> None:
    """Write a figure in the form of the path's ending; an earlier file stays until this one is complete.

    Raises:
        RbenchError: as `check_plot`, or it could not be drawn or written.
    """
    check_plot(path)
    target = path.resolve()  # the file behind a link
    drawn = io.BytesIO()
    temporary = target.with_name(f".rbench-plot-{os.getpid()}")
    try:
        figure.savefig(drawn, format=_form(path), dpi=DPI, metadata=UNDATED.get(_form(path)))
        temporary.write_bytes(drawn.getbuffer())
        temporary.replace(target)
    except (OSError, RuntimeError, ValueError) as error:  # forms such as .pgf need programs that may be missing
        raise refusal(path, "plot", str(error)) from None
    finally:
        temporary.unlink(missing_ok=True)


def _form(path: Path) -> str:
    return path.suffix[1:].lower()
