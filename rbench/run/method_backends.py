"""Methods that run on some backends only: they have no cells on the others."""

from collections.abc import Iterable, Sequence

from rbench.errors import SpecError
from rbench.experiment import Cell
from rbench.plugins import plugins
from rbench.spec import parse


def on_their_backends(cells: Iterable[Cell]) -> list[Cell]:
    """The cells whose method, if they have one, runs on their backend.

    Raises:
        SpecError: a method has none; the message names the backends that it runs on.
    """
    cells = list(cells)
    kept = [cell for cell in cells if all(_runs(spec, cell.backend) for spec in _methods([cell]))]
    lost = [spec for spec in _methods(cells) if spec not in _methods(kept)]
    if lost:
        needed = _backends(lost[0])
        raise SpecError(f"method {lost[0]!r} runs on {' and '.join(needed)}; add `backends` {needed[0]}")
    return kept


def left_out(cells: Iterable[Cell], backends: Sequence[str]) -> list[str]:
    """A line for each method of cells that does not run on all backends that a request names, given as SPECs."""
    found = {spec: [name for name in backends if not _runs(spec, name)] for spec in _methods(cells)}
    return [
        f"{spec} runs on {' and '.join(_backends(spec))} only, and not on {', '.join(others)}"
        for spec, others in found.items()
        if others
    ]


def _methods(cells: Iterable[Cell]) -> dict[str, None]:
    """SPECs of the methods of cells, each once."""
    return dict.fromkeys(spec for cell in cells for kind, spec in cell.specs if kind == "methods")


def _runs(method: str, backend: str) -> bool:
    return not _backends(method) or backend in _backends(method)


def _backends(method: str) -> tuple[str, ...]:
    """SPECs of the backends that a method runs on; empty for all."""
    names: tuple[str, ...] = plugins().find("methods", parse(method)[0]).backends
    return names
