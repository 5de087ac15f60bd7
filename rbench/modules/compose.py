"""Composition: `f >> g` in sequence (Def. 3 of arXiv 2603.03610), `f * g` in parallel (Def. 4).

Both are flattened when they are made, so that either way of bracketing gives equal modules.
"""

from collections.abc import Iterator
from dataclasses import InitVar, dataclass, field
from itertools import accumulate
from typing import Any

from rbench.backend import Backend
from rbench.errors import ShapeError
from rbench.modules.base import LayerPullback, Module, Params, Space, Wires, describe
from rbench.modules.layer import Layer
from rbench.names import shown


class _Compound(Module):
    """Modules in order; their blocks stand one after the other."""

    modules: tuple[Module, ...]

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(layer for module in self.modules for layer in module.layers)

    def blocks(self, params: Params) -> Iterator[tuple[Module, Params]]:
        """Each module with its own blocks."""
        start = 0
        for module in self.modules:
            stop = start + len(module.layers)
            yield module, params[start:stop]
            start = stop

    def joined(self, sign: str) -> str:
        """The expression that makes this compound."""
        return sign.join(f"({module!r})" if isinstance(module, _Compound) else repr(module) for module in self.modules)


@dataclass(frozen=True, repr=False)
class Sequential(_Compound):
    """f >> g >> …: each module takes what the one before returns; metrics pull back from the last to the first.

    Attributes:
        modules: two or more modules, in order of application.
        spaces: what each of them returns when the first is given its `in_space`.
        known: the first of these, where they have been found before, so that a chain of `>>` is checked once.
    """

    modules: tuple[Module, ...]
    spaces: tuple[Space, ...] = field(init=False, compare=False)
    known: InitVar[tuple[Space, ...]] = ()

    def __post_init__(self, known: tuple[Space, ...]) -> None:
        space = known[-1] if known else self.in_space
        spaces = (*known, *self._through(space, len(known)))
        object.__setattr__(self, "spaces", spaces)

    def __repr__(self) -> str:
        return self.joined(" >> ")

    @property
    def in_space(self) -> Space:
        return self.modules[0].in_space

    def out_space(self, space: Space) -> Space:
        *_, last = self._through(space)
        return last

    def _through(self, space: Space, start: int = 0) -> Iterator[Space]:
        """What each module from `start` on returns when that one is given `space`."""
        for index in range(start, len(self.modules)):
            module = self.modules[index]
            try:
                space = module.out_space(space)
            except ShapeError as error:
                before = f" after {self.modules[index - 1]!r}" if index else ""
                raise ShapeError(f"cannot put {module!r}{before}: {error}") from None
            yield space

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        tapes = []
        for module, blocks in self.blocks(params):
            wires, tape = module.forward(backend, blocks, wires)
            tapes.append(tape)
        return wires, tuple(tapes)

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        rows: Wires | None = cotangents
        found: list[list[LayerPullback]] = []
        has_layers = [need_input, *(bool(module.layers) for module in self.modules[:-1])]
        steps = zip(self.blocks(params), tape, accumulate(has_layers, max), strict=True)
        for (module, blocks), part, need in reversed(list(steps)):
            if rows is None:  # nothing with weights stands below
                break
            rows, layers = module.pullback(backend, blocks, part, rows, need_input=need)
            found.append(layers)
        return (rows if need_input else None), [layer for layers in reversed(found) for layer in layers]


@dataclass(frozen=True, repr=False)
class Parallel(_Compound):
    """f * g * …: the product of inputs, parameters, outputs and metrics; the wires stand side by side.

    Attributes:
        modules: two or more modules, in order of their wires.
    """

    modules: tuple[Module, ...]

    def __repr__(self) -> str:
        return self.joined(" * ")

    @property
    def in_space(self) -> Space:
        return tuple(shape for module in self.modules for shape in module.in_space)

    def out_space(self, space: Space) -> Space:
        if len(space) != len(self.in_space):
            raise ShapeError(f"{self!r} takes {len(self.in_space)} wires, but {len(space)} come: {describe(space)}")
        parts = self._split(space, [len(module.in_space) for module in self.modules])
        return tuple(s for module, part in zip(self.modules, parts, strict=True) for s in module.out_space(part))

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        parts = self._split(wires, [len(module.in_space) for module in self.modules])
        results = [
            m.forward(backend, blocks, part) for (m, blocks), part in zip(self.blocks(params), parts, strict=True)
        ]
        return tuple(wire for wires_, _ in results for wire in wires_), tuple(tape for _, tape in results)

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        widths = [len(module.out_space(module.in_space)) for module in self.modules]
        parts = self._split(cotangents, widths)
        results = [
            module.pullback(backend, blocks, piece, part, need_input=need_input)
            for (module, blocks), piece, part in zip(self.blocks(params), tape, parts, strict=True)
        ]
        found = [layer for _, layers in results for layer in layers]
        if not need_input:
            return None, found
        return tuple(wire for wires, _ in results if wires is not None for wire in wires), found

    @staticmethod
    def _split(wires: tuple[Any, ...], widths: list[int]) -> list[tuple[Any, ...]]:
        return [wires[end - width : end] for end, width in zip(accumulate(widths), widths, strict=True)]


def _parts(kind: type[_Compound], *modules: Module) -> tuple[Module, ...]:
    for module in modules:
        if not isinstance(module, Module):
            raise ShapeError(f"only modules can be composed, not {type(module).__name__} {shown(module)}")
    first, second = (m.modules if isinstance(m, kind) else (m,) for m in modules)
    return first + second


def sequence(first: Module, second: Module) -> Sequential:
    """`first >> second`: needs out(first) = in(second).

    Raises:
        ShapeError: the shapes differ; the message holds both.
    """
    known = first.spaces if isinstance(first, Sequential) else ()
    return Sequential(_parts(Sequential, first, second), known)


def parallel(first: Module, second: Module) -> Parallel:
    """`first * second`: inputs, parameters and outputs side by side."""
    return Parallel(_parts(Parallel, first, second))
