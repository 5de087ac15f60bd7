"""How large the page of a run is, and how soon it is open: `python benchmarks/page.py [CELLS [EVALUATIONS]]`.

The records are made up; Chromium opens the page from the disk. A page is open when its table can be read.
"""

import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from helpers.browser import browser
from helpers.pages import many
from rbench.report.page import render_page

REPEATS = 5


def main(cells: int = 2000, evaluations: int = 20) -> None:
    """Print seconds and sizes."""
    start = perf_counter()
    text = render_page([many(cells, evaluations)])
    print(f"{cells} cells of {evaluations} evaluations: written in {perf_counter() - start:.1f} s, ", end="")
    print(f"{len(text.encode()) / 2**20:.1f} MiB")
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        path = Path(folder) / "page.html"
        path.write_text(text)
        seconds = []
        for _ in range(REPEATS):
            page = chromium.new_page()
            start = perf_counter()
            page.goto(path.as_uri())
            page.wait_for_selector("table.dataTable tbody tr")
            seconds.append(perf_counter() - start)
            page.close()
    print(f"open in {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
