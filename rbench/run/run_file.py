"""`run.json`: a request and its cells."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, StringConstraints

from rbench import plugin_files
from rbench.plugins import plugins
from rbench.run.provenance import installed, provenance
from rbench.run.reading import DamagedError, read_file, read_object, set_aside
from rbench.run.record import write_json

NAME = "run.json"
PluginName: TypeAlias = Annotated[str, StringConstraints(pattern=f"^{plugin_files.NAME}$")]
"""The name of a plugin's file, which ends up in commands and in bundles: that of a foreign run may be anything."""


class Planned(BaseModel):
    """A request and the cells that it makes.

    Attributes:
        request: the request.
        provenance: software and hardware of the process that received it; `installed` has the versions of its libraries
            and of all that these require.
        cells: keys of the cells, in order.
        plugin_files: texts of that process's plugins that are files, by name.
    """

    model_config = ConfigDict(extra="forbid")
    request: dict[str, Any] = {}
    provenance: dict[str, Any] = {}
    cells: tuple[str, ...]
    plugin_files: dict[PluginName, str] = {}


class RunFile(Planned):
    """The content of a run's `run.json`.

    Attributes:
        earlier: earlier requests, the latest first, each with its cells that neither had a record nor were requested
            again when the next request came.
    """

    earlier: tuple[Planned, ...] = ()

    def missing(self, there: Collection[str]) -> tuple[list[str], list[str]]:
        """Keys of cells without a record: those of this request, and those of earlier ones.

        Args:
            there: keys that have a record.
        """
        own = [key for key in self.cells if key not in there]
        before = {key: None for one in self.earlier for key in one.cells if key not in there and key not in self.cells}
        return own, list(before)

    def all_plugin_files(self) -> dict[str, str]:
        """The plugins' files of this request and of earlier ones, by name; of several versions the latest."""
        return {name: text for one in (*reversed(self.earlier), self) for name, text in one.plugin_files.items()}


def is_run(directory: Path) -> bool:
    """Whether a directory has a `run.json` that can be read and names cells."""
    return "cells" in read_object(directory / NAME)


def read_run_file(directory: Path) -> RunFile:
    """The plan of a run.

    Raises:
        FileNotFoundError: there is none.
        DamagedError: it is damaged, or rbench did not write it.
        NewerError: a newer version wrote it.
    """
    return read_file(directory / NAME, RunFile)


def earlier_plans(directory: Path, warn: Callable[[str], None]) -> RunFile | None:
    """The plan that a directory holds, or None; a damaged one is set aside with a warning.

    Raises:
        NewerError: a newer version wrote it.
        OSError: it cannot be set aside.
    """
    try:
        return read_run_file(directory)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        aside = set_aside(directory / NAME)
        warn(f"{error}: it is now {aside.name}; its cells without a record are forgotten")
        return None


def write_run_file(
    directory: Path,
    request: dict[str, Any],
    cells: Collection[str],
    *,
    before: RunFile | None,
    there: Collection[str],
) -> None:
    """Store a plan; cells of earlier plans stay until they have a record or are requested again.

    Args:
        directory: the run's directory.
        request: the request.
        cells: keys of the cells that it makes, in order.
        before: the plan that the directory held, or None to discard it.
        there: keys that have a record.
    """
    done = {*cells, *there}
    earlier: list[Planned] = []
    for plan in () if before is None else (before, *before.earlier):
        left = [key for key in plan.cells if key not in done]
        done.update(left)
        if left:
            kept = plan.model_dump(exclude={"earlier", "cells"})
            earlier.append(Planned(**kept, cells=tuple(left)))
    made = provenance() | {"installed": installed()}
    files = {file.name: file.source for file in plugins().files.values()}
    content = RunFile(request=request, provenance=made, cells=tuple(cells), plugin_files=files, earlier=tuple(earlier))
    write_json(directory / NAME, content.model_dump(exclude_defaults=True))
