"""Spaces: the shapes of a module's wires, known before there is any array."""

from collections.abc import Sequence
from operator import index as as_int
from typing import Any, TypeAlias

from rbench.errors import ShapeError

Shape: TypeAlias = tuple[int | None, ...] | None
"""Shape of one wire without the batch; None for any size of an axis, or for any shape at all."""

Space: TypeAlias = tuple[Shape, ...]
"""Shapes of a module's wires, in order."""


def one_shape(module: object, space: Space) -> Shape:
    """The shape of the only wire of `space`.

    Raises:
        ShapeError: there are more or fewer wires.
    """
    if len(space) != 1:
        raise ShapeError(f"{module!r} takes one wire, but is given {len(space)}: {describe(space)}")
    return space[0]


def space_of(wires: Any) -> Space:
    """Shapes of inputs (batch, *shape), one array or a tuple of them, without the batch."""
    return tuple(tuple(wire.shape[1:]) for wire in (wires if isinstance(wires, tuple) else (wires,)))


def fitted(module: object, space: Space, wanted: tuple[int | None, ...], words: str = "") -> tuple[int | None, ...]:
    """The shape of the only wire of `space`, which must satisfy `wanted`.

    Raises:
        ShapeError: it does not; the message names what is wanted, in words if there are any.
    """
    shape = unify(one_shape(module, space), wanted)
    if not isinstance(shape, tuple):
        raise ShapeError(f"{module!r} takes {words or describe((wanted,))}, but is given {describe(space)}")
    return shape


def unify(first: Shape, second: Shape) -> Shape | bool:
    """The shape that satisfies both, or False where they contradict each other."""
    if first is None or second is None:
        return second if first is None else first
    if len(first) != len(second) or any(a != b for a, b in zip(first, second, strict=True) if None not in (a, b)):
        return False
    return tuple(b if a is None else a for a, b in zip(first, second, strict=True))


def describe(space: Sequence[Shape]) -> str:
    """A space in words for an error message: `(20)`, `(3, any, any)`, `(20) and (20)`."""

    def words(shape: Shape) -> str:
        if shape is None:
            return "any"
        return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"

    return " and ".join(map(words, space))


def settle_sizes(module: object, *names: str, least: int = 1) -> None:
    """Convert the named sizes of a frozen module, integers of any kind, to plain ones.

    Raises:
        ShapeError: a size is not an integer, or is below `least`.
    """
    for name in names:
        size = getattr(module, name)
        try:
            number = least - 1 if isinstance(size, bool) else as_int(size)
        except TypeError:
            number = least - 1
        if number < least:
            raise ShapeError(f"{type(module).__name__}: {name} is {size!r}; give an integer of at least {least}")
        object.__setattr__(module, name, number)
