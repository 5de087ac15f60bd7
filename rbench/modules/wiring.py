"""Modules without weights; those here route, add and multiply values, so that branched networks are expressions."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

from rbench.backend import Backend
from rbench.errors import ShapeError
from rbench.modules.module import Module, Params, Tangents, Wires
from rbench.modules.pullback import LayerPullback
from rbench.modules.space import Space, describe, one_shape, settle_sizes, unify


class Weightless(Module):
    """A module without weights, on one wire whose shape it keeps unless it says otherwise."""

    @property
    def in_space(self) -> Space:
        return (None,)

    def out_space(self, space: Space) -> Space:
        return (one_shape(self, space),)

    @abstractmethod
    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        """Jᵀ applied to every row."""

    @abstractmethod
    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        """J applied to tangents, not all of which are zero."""

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        return (self.transpose(backend, tape, cotangents) if need_input else None), []

    def pushforward(
        self, backend: Backend, params: Params, tape: Any, param_tangents: Params, tangents: Tangents
    ) -> Tangents:
        if all(tangent is None for tangent in tangents):
            return (None,) * len(self.out_space(self.in_space))
        return self.push_tangents(backend, tape, tangents)


@dataclass(frozen=True)
class Identity(Weightless):
    """x ↦ x, on one wire of any shape."""

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        return wires, None

    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        return cotangents

    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        return tangents


@dataclass(frozen=True)
class Copy(Weightless):
    """x ↦ (x, x); the pullback adds the two cotangents."""

    def out_space(self, space: Space) -> Space:
        shape = one_shape(self, space)
        return (shape, shape)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        return (wires[0], wires[0]), None

    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        return (cotangents[0] + cotangents[1],)

    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        return (tangents[0], tangents[0])


class _OfTwo(Weightless):
    """A module on two wires of one shape."""

    @property
    def in_space(self) -> Space:
        return (None, None)

    def out_space(self, space: Space) -> Space:
        if len(space) != 2:
            raise ShapeError(f"{self!r} takes two wires, but is given {len(space)}: {describe(space)}")
        shape = unify(*space)
        if isinstance(shape, bool):
            raise ShapeError(f"{self!r} takes two equal shapes, but is given {describe(space)}")
        return (shape,)


@dataclass(frozen=True)
class Add(_OfTwo):
    """(x, y) ↦ x + y, of one shape; the cotangent goes to both."""

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        return (wires[0] + wires[1],), None

    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        return (cotangents[0], cotangents[0])

    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        return (reduce(add, [tangent for tangent in tangents if tangent is not None]),)


@dataclass(frozen=True)
class Dot(_OfTwo):
    """(x, y) ↦ Σ_i x_i y_i, of one shape, as one number (1,); the cotangent goes to x times y, and to y times x."""

    def out_space(self, space: Space) -> Space:
        super().out_space(space)
        return ((1,),)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        x, y = wires
        return (backend.xp.sum(backend.xp.reshape(x * y, (x.shape[0], -1)), axis=1, keepdims=True),), (x, y)

    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        x, y = tape
        (rows,) = cotangents
        rows = backend.xp.reshape(rows, (*rows.shape[:2], *(1,) * (x.ndim - 1)))
        return rows * y[:, None, ...], rows * x[:, None, ...]

    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        pairs = zip(tangents, reversed(tape), strict=True)
        pushed = reduce(add, [tangent * other for tangent, other in pairs if tangent is not None])
        return (backend.xp.sum(backend.xp.reshape(pushed, (pushed.shape[0], -1)), axis=1, keepdims=True),)


@dataclass(frozen=True, repr=False)
class Split(Weightless):
    """x ↦ (x_1 … x_size, the rest), cut along the last axis.

    Attributes:
        size: length of the first part's last axis.
    """

    size: int

    def __post_init__(self) -> None:
        settle_sizes(self, "size")

    def out_space(self, space: Space) -> Space:
        shape = one_shape(self, space)
        if shape is None:
            return (None, None)
        *others, last = shape or (0,)
        if last is not None and last <= self.size:
            raise ShapeError(f"{self!r} takes a last axis of more than {self.size}, but is given {describe(space)}")
        return ((*others, self.size), (*others, None if last is None else last - self.size))

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        (x,) = wires
        return (x[..., : self.size], x[..., self.size :]), None

    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        return (backend.xp.concat(list(cotangents), axis=-1),)

    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        return self.forward(backend, (), tangents)[0]


@dataclass(frozen=True)
class Flatten(Weightless):
    """Reshape any shape to one axis, in C order."""

    def out_space(self, space: Space) -> Space:
        shape = one_shape(self, space)
        if shape is None:
            return ((None,),)
        known = [size for size in shape if size is not None]
        return ((math.prod(known) if len(known) == len(shape) else None,),)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        (x,) = wires
        return (backend.xp.reshape(x, (x.shape[0], math.prod(x.shape[1:]))),), x.shape[1:]

    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        (rows,) = cotangents
        return (backend.xp.reshape(rows, (*rows.shape[:2], *tape)),)

    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        return (backend.xp.reshape(tangents[0], (tangents[0].shape[0], math.prod(tape))),)
