"""Records as a page holds them: whole, with what many share stored once, and the command that repeats each."""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from rbench.report.page.embedding import compact_json
from rbench.run.record import Record
from rbench.text import visible

SHARED = ("provenance", "environment", "gate", "tuning")
"""Parts of a record that others have too."""


def embedded(records: Iterable[tuple[str, Record]]) -> dict[str, Any]:
    """Records for the page's script, each with the name of its run.

    Returns:
        `records`, in order, and `shared`, the values that a record's `SHARED` parts are indices into.
    """
    places: dict[str, int] = {}
    shared: list[Any] = []
    found = []
    for run, record in records:
        content = record.model_dump()
        for name in SHARED:
            text = compact_json(content[name])
            if text not in places:
                places[text] = len(shared)
                shared.append(content[name])
            content[name] = places[text]
        about = {"title": record.cell.title, "run": run}
        found.append({**_visible(about | content), "command": command(record)})
    return {"records": found, "shared": _visible(shared)}


def _visible(value: Any) -> Any:
    """Data whose texts, and names of fields, show their invisible characters."""
    if isinstance(value, str):
        return visible(value, lines=True)
    if isinstance(value, Mapping):
        return {_visible(key): _visible(item) for key, item in value.items()}
    return [_visible(item) for item in value] if isinstance(value, list | tuple) else value


def command(record: Record) -> str:
    """The command that runs exactly this cell again, quoted for a shell."""
    sources = re.findall(r"^source of (.+\.py)$", "\n".join(record.environment), flags=re.MULTILINE)
    files = "".join(f"--plugin {shlex.quote(name)} " for name in sources)
    return f"rbench run {files}--cell {shlex.quote(compact_json(record.cell.model_dump()))}"
