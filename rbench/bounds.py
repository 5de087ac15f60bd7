"""Limits of a request, checked before any work starts: the number of cells, the cores and the memory."""

import os

import psutil

from rbench.errors import SpecError

MAX_CELLS = 10_000
"""Cells that a request may make by default."""

MOST_THREADS = 64
"""Most threads that NumPy's BLAS uses; it silently ignores more."""

MOST_SHOWN = 10**18
"""Numbers above this are not written out."""


def check_count(count: int, most: int, what: str = "cells") -> None:
    """Raise for a request of too many cells, before they are made; the message calls them `what`.

    Raises:
        SpecError: `count` is more than `most`.
    """
    if count > most:
        raise SpecError(
            f"this would make {_written(count)} {what}, and {_written(most)} are allowed; ask for less, or "
            "allow more with `max_cells`"
        )


def check_at_once(threads: int | None, jobs: int = 1) -> None:
    """Raise for more threads per cell, or more cells at once, than this machine can use.

    Raises:
        SpecError: either exceeds both the machine's cores and `MOST_THREADS`.
    """
    cores = os.cpu_count() or 1
    most = max(cores, MOST_THREADS)
    for option, number in (("`threads`", threads or 1), ("`jobs`", jobs)):
        if number > most:
            raise SpecError(f"{option} {_written(number)}: this machine has {cores} cores; give at most {most}")


def check_bytes(what: str, needed: int, way_out: str) -> None:
    """Raise if things that take `needed` bytes at least cannot fit into this machine's memory, before they are made.

    Raises:
        SpecError: the machine has less memory; the message names the things and the way out, and holds both figures.
    """
    there = psutil.virtual_memory().total
    if needed > there:
        raise SpecError(
            f"{what} take at least {_written(needed // 2**20)} MiB, and this machine has {there // 2**20:,} MiB; "
            + way_out
        )


def _written(count: int) -> str:
    return f"{count:,}" if count <= MOST_SHOWN else f"more than {MOST_SHOWN:,}"
