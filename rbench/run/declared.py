"""Declared types of a record file's figures, evaluations and provenance.

In a process these are plain dictionaries; only what is read from a file is checked against these types.
"""

from collections.abc import Iterable
from typing import Annotated, Any, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, TypeAdapter, create_model

from rbench.figures import TRAINING, Figure
from rbench.run.reading import Count, Number, Real

_OPEN = ConfigDict(extra="allow", strict=True)


M = TypeVar("M", bound=BaseModel)


def with_figures(facts: type[M], figures: Iterable[Figure]) -> type[M]:
    """The type of a file's facts and figures, each of which may be missing."""
    declared: dict[str, Any] = {one.name: (Count | None if one.whole else Number | None, None) for one in figures}
    return create_model(facts.__name__, __base__=facts, **declared)


class _Facts(BaseModel):
    model_config = _OPEN
    device: str | None = None
    dataset_sha256: str | None = None
    dataset_official: bool | None = None
    target_reached: bool | None = None
    train_squared_error: Number | None = None
    phase_seconds: dict[str, Real] = {}


class _Commit(BaseModel):
    model_config = _OPEN
    id: str
    dirty: bool = False


class _Provenance(BaseModel):
    model_config = _OPEN
    rbench: str | None = None
    commit: _Commit | None = None
    python: str | None = None
    libraries: dict[str, str] = {}
    plugin_files: dict[str, str] = {}
    cpu: str | None = None
    cores: Count | None = None
    memory_bytes: Count | None = None
    blas: list[dict[str, str | Count | None]] = []
    system: str | None = None
    backend: dict[str, str] = {}
    device: str | None = None
    worker: str | None = None


def _held_to(kind: type[BaseModel]) -> AfterValidator:
    """A check that a dictionary fits a type; the dictionary is returned unchanged."""
    validate = TypeAdapter(kind).validator.validate_python

    def check(found: dict[str, Any]) -> dict[str, Any]:
        validate(found)
        return found

    return AfterValidator(check)


Figures: TypeAlias = Annotated[
    dict[str, Number | str | bool | dict[str, Real] | None], _held_to(with_figures(_Facts, TRAINING))
]
"""Figures by name: known ones have their own types, others are single values or numbers by name."""

History: TypeAlias = list[dict[str, Number | None]]
"""Evaluations: numbers by name, such as `step`, `seconds` and `test_loss`."""

Provenance: TypeAlias = Annotated[dict[str, Any], _held_to(_Provenance)]
"""Software and hardware, as `rbench.run.provenance.provenance` finds them; each part may be missing."""
