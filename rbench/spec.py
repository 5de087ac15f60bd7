"""SPECs: a name with settings, such as `sgd`, `sgd[lr=0.1,momentum=0.9]` or, three at once, `sgd[lr=[0.1,0.3,1]]`."""

import re
from itertools import product
from math import prod
from typing import Any, ClassVar, Self, get_origin

from pydantic import ConfigDict

from rbench.checked import Checked
from rbench.errors import SpecError
from rbench.names import shown

DEEPEST = 8
"""Deepest nesting of lists; a mass of rows and columns for each layer has four levels."""


class Configurable(Checked):
    """An object with a name and settings that a SPEC can make; its fields, or their aliases, are the SPEC's keys.

    A class whose `model_config` has `extra="allow"` takes others, too, which it checks itself.

    Attributes:
        name: what the SPEC starts with.
        summary: one line for `rbench list`.
        always: settings that the canonical SPEC holds even at their defaults, first and in this order.
    """

    model_config = ConfigDict(allow_inf_nan=False)
    name: ClassVar[str]
    summary: ClassVar[str]
    always: ClassVar[tuple[str, ...]] = ()

    @property
    def spec(self) -> str:
        """The canonical SPEC: the name, the settings that are always written, and those not at their defaults."""
        return self.spec_without()

    def spec_without(self, *left_out: str) -> str:
        """The canonical SPEC without some settings."""
        fields = type(self).model_fields
        keys = [key for key in fields if getattr(self, key) != fields[key].get_default(call_default_factory=True)]
        names = {key: fields[key].alias or key for key in (*self.always, *keys)}
        names |= {key: key for key in sorted(self.model_extra or {})}
        settings = [
            f"{name}={_written(getattr(self, key), _takes_list(type(self), key))}"
            for key, name in names.items()
            if name not in left_out
        ]
        return f"{self.name}[{','.join(settings)}]" if settings else self.name

    def changed(self, **settings: Any) -> Self:
        """The same with some settings replaced.

        Raises:
            SpecError: a value that its field refuses.
        """
        return type(self)(**{**self.model_dump(by_alias=True), **settings})

    @classmethod
    def expand(cls, settings: dict[str, Any]) -> list[Self]:
        """One object for every combination of the settings that are lists (of lists, if a value is one).

        Raises:
            SpecError: an unknown key, or a value that its field refuses; the message lists the keys.
        """
        choices = {key: _choices(cls, key, value) for key, value in settings.items()}
        return [cls(**dict(zip(choices, values, strict=True))) for values in product(*choices.values())]


def expansions(cls: type[Configurable], settings: dict[str, Any]) -> int:
    """How many objects `expand` makes, without making one."""
    return prod(len(_choices(cls, key, value)) for key, value in settings.items())


def parse(text: str) -> tuple[str, dict[str, Any]]:
    """Split `name[key=value,…]` into the name and the settings.

    Values are numbers, `true`, `false`, `none`, words, or lists of values in brackets.

    Raises:
        SpecError: the brackets do not match, or a part is not `key=value`.
    """
    text = text.strip()
    name, bracket, rest = text.partition("[")
    name = name.strip()
    if not bracket:
        return name, {}
    if not rest.endswith("]") or not name:
        raise SpecError(f"cannot read {shown(text)}; write name[key=value,key=[v1,v2]]")
    settings: dict[str, Any] = {}
    for part in _split(rest[:-1], text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise SpecError(f"cannot read {shown(part)} in {shown(text)}; write key=value")
        if key.strip() in settings:
            raise SpecError(f"{shown(text)} sets {shown(key.strip())} twice")
        settings[key.strip()] = _value(value, text)
    return name, settings


def _split(text: str, whole: str) -> list[str]:
    """Split at the commas that stand outside of brackets."""
    parts = []
    depth = 0
    start = 0
    for mark in re.finditer(r"[\[\],]", text):
        depth += {"[": 1, "]": -1, ",": 0}[mark[0]]
        if depth < 0:
            break
        if mark[0] == "," and depth == 0:
            parts.append(text[start : mark.start()])
            start = mark.end()
    if depth:
        raise SpecError(f"the brackets of {shown(whole)} do not match")
    return [part for part in [*parts, text[start:]] if part.strip()]


def _value(text: str, whole: str, depth: int = 0) -> Any:
    text = text.strip()
    if text.startswith("["):
        if not text.endswith("]"):
            raise SpecError(f"the brackets of {shown(whole)} do not match")
        if depth == DEEPEST:
            raise SpecError(f"{shown(whole)} holds lists within lists more than {DEEPEST} deep; no setting needs that")
        return [_value(part, whole, depth + 1) for part in _split(text[1:-1], whole)]
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def _takes_list(cls: type[Configurable], key: str) -> bool:
    field = cls.model_fields.get(key)
    return field is not None and get_origin(field.annotation) is tuple


def _choices(cls: type[Configurable], key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    if _takes_list(cls, key) and not (value and all(isinstance(item, list) for item in value)):
        return [value]
    if not value:
        raise SpecError(f"{cls.name}: {key}=[] gives no value to try")
    return value


def _written(value: Any, is_list_field: bool = True) -> str:
    """A value as a SPEC has it; a list where the field also takes single values is written as a list of one list."""
    if isinstance(value, tuple | list):
        inner = "[" + ",".join(_written(item) for item in value) + "]"
        return inner if is_list_field else f"[{inner}]"
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        value += 0.0  # a negative zero is a zero
        return f"{value:g}" if float(f"{value:g}") == value else str(value)
    return str(value)
