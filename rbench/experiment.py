"""Experiments: a kind of cell, with its settings, how it is run, and the fields of its rows."""

import hashlib
import re
from abc import abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, TypeAlias

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError, to_json

from rbench.backend import Backend
from rbench.charts import Chart
from rbench.checked import Checked
from rbench.errors import RbenchError
from rbench.figures import Figure
from rbench.plugins import plugins

if TYPE_CHECKING:
    from rbench.run.record import Record
    from rbench.train.memory import Peaks

Report: TypeAlias = Callable[[int, int], None]
"""Called with the steps done and the steps to do."""


@dataclass
class Outcome:
    """The results of a cell; kept up to date while it runs, so that a failure loses nothing.

    Attributes:
        figures: fields of the record's row, and other results to keep.
        history: evaluations during the run: numbers by name.
        attachment: what `Cell.publish` needs besides the figures, as JSON.
    """

    figures: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    attachment: dict[str, Any] = field(default_factory=dict)


class Limits(NamedTuple):
    """Limits of a cell besides its settings.

    Attributes:
        memory: bytes that its process may hold resident, or None.
        checksum: checksum that its data must have, or None.
    """

    memory: int | None = None
    checksum: str | None = None


NO_EXPERIMENT = "no_experiment"
"""The type of pydantic's error for a cell of an experiment that is not registered here."""


class Cell(Checked):
    """One cell of an experiment: all that determines what is measured, in canonical form, and how it is run.

    Subclass it for a kind of experiment: give it a field `experiment` whose type is the literal of its name, fields for
    its settings, and register the class with the `rbench_experiments` hook. Every cell runs in its own process, under
    the run's limits, after the equivalence gate of its backend; all records are stored, resumed, compared and tabled
    alike.

    Attributes:
        name: of the experiment, from its field `experiment`.
        summary: one line for `rbench list`.
        fields: fields of a row, in order; null where a cell has no value.
        figures: the measured fields, as `rbench.figures` declares them.
        charts: what `rbench plot` draws of its rows.
        kept_of_failures: figures that stay in the record of a cell that did not end `ok`.
        longest_seconds: seconds after which its process is ended if the request sets no timeout; None for no limit.
        libraries: libraries besides its backend's that its figures depend on.
        experiment: the name, as it stands in records.
        suite: name of the suite that asked for it.
        backend: canonical SPEC, which is its name where it has no options.
        device: the backend's name of the device, or None for its default.
        dtype: `float32` or `float64`.
        threads: threads of the numerical libraries; time and rounding depend on them, so another number is another
            cell.
    """

    name: ClassVar[str] = ""
    summary: ClassVar[str] = ""
    fields: ClassVar[tuple[str, ...]] = ()
    figures: ClassVar[tuple[Figure, ...]] = ()
    charts: ClassVar[tuple[Chart, ...]] = ()
    kept_of_failures: ClassVar[tuple[str, ...]] = ("device",)
    longest_seconds: ClassVar[float | None] = None
    libraries: ClassVar[tuple[str, ...]] = ()
    experiment: str
    suite: str
    backend: str
    device: str | None = None
    dtype: str = "float32"
    threads: int = Field(1, ge=1, lt=2**63)

    @classmethod
    def __pydantic_init_subclass__(cls, **others: Any) -> None:
        cls.name = cls.model_fields["experiment"].default

    @property
    def key(self) -> str:
        """File name of the cell's record, without ending: readable, and unique by a hash of all fields."""
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:10]
        slug = "--".join(re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")[:48] for name in self.names if name)
        return f"{slug}--{digest}"

    @property
    def names(self) -> tuple[str, ...]:
        """Names that tell a reader which cell it is, as in its file's name."""
        return (self.name, self.backend)

    @property
    def title(self) -> str:
        """The cell in a line."""
        return " ".join(name for name in self.names if name)

    @property
    def specs(self) -> tuple[tuple[str, str], ...]:
        """SPECs of the plugins that it uses besides its backend, each after its kind, such as `methods`."""
        return ()

    @property
    def data(self) -> tuple[str, bool] | None:
        """The SPEC of the task whose data it reads, and whether unofficial copies are taken; None for no data."""
        return None

    def check_data(self, n_train: int) -> None:
        """Raise an `RbenchError` where the cell cannot run on so many training data."""

    @property
    def series(self) -> Hashable:
        """A key: cells of a suite with the same one are run one after the other, in order; None for no series."""
        return None

    def end_of_series(self, status: str, reason: str | None, figures: Mapping[str, Any]) -> str | None:
        """Why no further cell of the series is to run, given how this one ended and, if not `ok`, why.

        None if others may.
        """
        return None

    @classmethod
    def check(cls, cells: "Sequence[Any]", *, here: bool) -> None:
        """Raise an `RbenchError` for cells of this kind that cannot be run, before any of them is.

        `here` says whether they run on this machine; the memory of others is not known.
        """

    @abstractmethod
    def run(self, backend: Backend, outcome: Outcome, report: Report, limits: Limits) -> None:
        """Run the cell in this process, and fill in its outcome.

        Args:
            backend: the one that the cell names, within `Backend.inference`.
            outcome: filled in during the run.
            report: called with the steps done and the steps to do.
            limits: limits on memory and data.

        Raises:
            Skip: it cannot be run here; the message says why.
            CapacitanceError, DivergedError: a factorisation failed, or training left the finite numbers.
        """

    @classmethod
    def publish(cls, directory: Path, records: "Sequence[Record]") -> None:
        """Write files that other tools read into a run's directory, given all its records of this experiment."""

    def row(self, figures: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The cell's settings and figures in a row of the table, by field."""
        return {**figures, **dict(self), "device": figures.get("device", self.device)}

    @classmethod
    def settings_in(cls, row: Mapping[str, str]) -> dict[str, Any]:
        """The settings in a row as text, by field, to make the cell of; `row` gives the row of it again.

        The device is not among them: that of a row may be the one that the backend chose.
        """
        return {name: row[name] for name in cls.model_fields if name in row and name != "device"}

    def words(self, figures: Mapping[str, Any]) -> str:
        """The result in a few words, for the line that reports the cell's end; empty for none."""
        return ""


class MemoryCell(Cell):
    """A cell whose peak memory is measured too, in a process of its own once it has run."""

    def alike_in_memory(self) -> Cell:
        """A cell with the same peaks as this one: cells that return the same one are measured once."""
        return self

    @abstractmethod
    def peaks(self, backend: Backend) -> "Peaks":
        """Its peak memory, measured in this process.

        Raises:
            Skip: it cannot be run here; the message says why.
        """


def _read(value: Any) -> Cell:
    """A cell, from JSON, of the kind that the JSON names."""
    if isinstance(value, Cell):
        return value
    if not isinstance(value, dict) or not isinstance(value.get("experiment"), str):
        raise ValueError("it names no experiment")
    try:
        kind: type[Cell] = plugins().find("experiments", value["experiment"])
    except RbenchError as error:
        raise PydanticCustomError(NO_EXPERIMENT, "{words}", {"words": str(error)}) from None
    return kind.model_validate_json(to_json(value), strict=True)


AnyCell: TypeAlias = Annotated[
    Cell, PlainValidator(_read), PlainSerializer(lambda cell: cell.model_dump()), WithJsonSchema({"type": "object"})
]
"""A cell of any kind, as a field of a model that is saved as JSON."""
