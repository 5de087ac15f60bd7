"""Models that report errors in rbench's own words: the setting, the value given and what it should be."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from rbench.errors import SpecError
from rbench.names import did_you_mean, shown


class Checked(BaseModel):
    """Frozen settings; unknown keys are refused, and so is a bool where a number is meant.

    Raises:
        SpecError: in place of pydantic's own error, if made from Python; if read from JSON, pydantic's is raised.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    def __init__(self, **given: Any) -> None:
        for key in _numbers(type(self)):
            if _holds_bool(given.get(key)):
                raise SpecError(f"{_name(type(self))}: {key}={shown(given[key])}: give a number, not true or false")
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise SpecError(_refusal(type(self), error, given)) from None

    # Models read from JSON are validated by pydantic alone, with its own errors.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]


def _name(model: type[Checked]) -> str:
    """The name of a model in a SPEC, or else of its class."""
    name = getattr(model, "name", None)
    return name if isinstance(name, str) else model.__name__


def _refusal(model: type[Checked], error: ValidationError, given: Mapping[str, Any]) -> str:
    """The first thing that is wrong, in words."""
    first = error.errors(include_url=False)[0]
    place = first["loc"]
    words = first["msg"].removeprefix("Value error, ")
    key = str(place[0]) if place else ""
    name = _name(model)
    fields = {field.alias or key: field.annotation for key, field in model.model_fields.items()}
    if first["type"] == "extra_forbidden":
        known = ", ".join(fields) or "none"
        return f"{name} has no setting {shown(key)}{did_you_mean(key, fields)}; its settings are: {known}"
    if first["type"] == "missing":
        return f"{name} needs a value for {key}"
    if first["type"] == "tuple_type":
        words = "give a list"
    taken = [leaf for leaf in _leaves(fields.get(key)) if isinstance(leaf, str)]
    near = did_you_mean(given[key], taken) if isinstance(given.get(key), str) else ""
    return f"{name}: " + (f"{key}={shown(given[key])}: " if key in given else "") + words + near


@cache
def _numbers(model: type[Checked]) -> tuple[str, ...]:
    """Names of the fields, and their aliases, that take a number and no bool."""
    found = []
    for name, field in model.model_fields.items():
        kinds = set(_leaves(field.annotation))
        if {int, float} & kinds and bool not in kinds:
            found += [name, *([field.alias] if field.alias else [])]
    return tuple(found)


def _leaves(annotation: Any) -> Iterator[Any]:
    """The plain types and the literal values that an annotation is made of."""
    parts = get_args(annotation)
    if not parts:
        yield annotation
    for part in parts:
        yield from _leaves(part)


def _holds_bool(value: Any) -> bool:
    """Whether a value is a bool, or a list that holds one somewhere."""
    if isinstance(value, list | tuple):
        return any(map(_holds_bool, value))
    return isinstance(value, bool) or type(value).__name__ == "bool"  # or NumPy's, without importing it
