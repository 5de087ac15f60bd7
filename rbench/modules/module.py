"""Modules of the algebra (spaces, parameters, forward, pullback), layers (modules with weights), and composition.

Layouts, here and everywhere:

- an activation is (batch, *shape); a value on several wires is a tuple of activations;
- cotangents, and the rows of a metric factor F with metric G_b = F_bᵀ F_b, are (batch, rows, *shape): by Remark 4 of
arXiv 2603.03610 pulling a metric back means pulling back each row of its factor like a cotangent;
- tangents are (batch, *shape) at activations, and have the structure of the parameters at these;
- a layer block is all parameters of one layer: its weight and its bias.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, InitVar, dataclass, field, fields, is_dataclass
from itertools import accumulate
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from rbench.backend import Array, Backend
from rbench.errors import ParameterError, ShapeError
from rbench.modules.pullback import LayerPullback, Weights
from rbench.modules.space import Space, describe
from rbench.names import shown, unknown
from rbench.plugins import as_backend
from rbench.random import check_seed, generator

Wires: TypeAlias = tuple[Array, ...]
"""One array per wire."""

Tangents: TypeAlias = tuple[Array | None, ...]
"""One tangent per wire; None for one that is zero, as at a network's inputs: so a first layer takes a product less."""

Block: TypeAlias = dict[str, Array]
"""Parameters of one layer: `weight`, and `bias` where it has one."""

Scheme: TypeAlias = Literal["glorot", "lecun", "he"]
"""Variance of the initial weights; see `Module.init`."""

Params: TypeAlias = tuple[Block, ...]
"""One block for each layer that has weights, in order."""


class Module(ABC):
    """A Riemannian module (Def. 2 of arXiv 2603.03610): a smooth map f(w, x) between spaces, and how metrics pull back.

    Structure is static and hashable, weights are an argument. `f >> g` composes in sequence (Def. 3), `f * g` in
    parallel (Def. 4).
    """

    @property
    @abstractmethod
    def in_space(self) -> Space:
        """Shapes that the module takes, one per wire; None where it takes any."""

    @abstractmethod
    def out_space(self, space: Space) -> Space:
        """Shapes that the module returns for inputs of shapes `space`.

        Raises:
            ShapeError: `space` does not fit; the message holds both shapes.
        """

    @abstractmethod
    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        """Compute f(w, x); returns the outputs and the tape that `pullback` needs."""

    @abstractmethod
    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        """Apply Jᵀ to every row of the cotangents at the outputs, (batch, rows, *shape) for each wire.

        Returns the cotangents at the inputs, and a `LayerPullback` for each layer with weights, in order. Without
        `need_input` the first is None, which saves a first layer a product.
        """

    @abstractmethod
    def pushforward(
        self, backend: Backend, params: Params, tape: Any, param_tangents: Params, tangents: Tangents
    ) -> Tangents:
        """The tangents at the outputs: J applied to `param_tangents` at the parameters and `tangents` at the inputs."""

    @property
    def layers(self) -> "tuple[Layer, ...]":
        """The modules inside that have weights, in order of their blocks."""
        return ()

    def apply(self, backend: Backend, params: Params, x: Array | Wires) -> Array | Wires:
        """f(w, x); x and the result are each one array, or a tuple of one array per wire."""
        outputs, _ = self.forward(backend, params, x if isinstance(x, tuple) else (x,))
        return outputs[0] if len(outputs) == 1 else outputs

    def init(self, backend: Backend | str, seed: int = 0, scheme: Scheme = "glorot") -> Params:
        """Draw initial parameters on the host, the same numbers for every backend.

        Weights are uniform with mean zero, biases are zero, and `ScaleShift` sets its own gains. Every layer draws from
        a stream of its own.

        Args:
            backend: the arrays' backend; a name stands for that backend in float32.
            seed: any integer ≥ 0.
            scheme: the weights' variance: `glorot`, 2 / (fan_in + fan_out) (Glorot and Bengio 2010); `lecun`, 1 /
                fan_in (LeCun et al. 1998), which keeps the size of activations where layers widen; or `he`, 2 / fan_in
                (He et al. 2015), which does so after ReLUs. A convolution's fans count its kernel's pixels.
        """
        check_seed(seed)
        at = as_backend(backend)
        return tuple(layer.draw(at, seed, index, scheme) for index, layer in enumerate(self.layers))

    def __repr__(self) -> str:
        """The expression that makes a module with fields, without those at their defaults."""
        if not is_dataclass(self):
            return super().__repr__()
        words = []
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                words.append(repr(value) if item.default is MISSING else f"{item.name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"

    def __rshift__(self, other: "Module") -> "Module":
        known = self.spaces if isinstance(self, Sequential) else ()
        return Sequential(_parts(Sequential, self, other), known)

    def __mul__(self, other: "Module") -> "Module":
        return Parallel(_parts(Parallel, self, other))


class Layer(Module):
    """A module that is linear in its one block: a matrix (fan_out, fan_in) and, with a bias, a vector (fan_out,).

    Attributes:
        bias: whether there is a bias.
        entrywise: whether it scales its inputs entry by entry, so that pulling rows back takes no matrix product.
    """

    entrywise: ClassVar[bool] = False
    bias: bool

    def positions(self, space: Space) -> int:
        """Positions that share the weights, for inputs of these shapes."""
        return 1

    @property
    @abstractmethod
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight, outputs first."""

    @property
    def fan_out(self) -> int:
        """Number of outputs per position."""
        return self.weight_shape[0]

    @property
    def fan_in(self) -> int:
        """Number of inputs per position, without the 1 of the bias."""
        return int(np.prod(self.weight_shape[1:]))

    @property
    def width(self) -> int:
        """Number of inputs per position, with the 1 of the bias."""
        return self.fan_in + self.bias

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays of the block, by name."""
        return {"weight": self.weight_shape} | ({"bias": (self.fan_out,)} if self.bias else {})

    @property
    def fans(self) -> tuple[int, int]:
        """Weights per output and weights per input, which set the variance of initial weights."""
        return self.fan_in, self.fan_out

    @property
    def n_parameters(self) -> int:
        """Number of parameters in the block."""
        return self.fan_out * self.width

    @property
    def layers(self) -> "tuple[Layer, ...]":
        return (self,)

    def draw(self, backend: Backend, seed: int, index: int, scheme: Scheme) -> Block:
        """Initial parameters of the layer at `index` in its network; see `Module.init`."""
        into, out_of = self.fans
        variances = {"glorot": 2 / (into + out_of), "lecun": 1 / into, "he": 2 / into}
        if scheme not in variances:
            raise ParameterError(unknown("initial scheme", scheme, variances))
        bound = np.sqrt(3 * variances[scheme])
        weight = generator(seed, "weights", index).uniform(-bound, bound, (self.fan_out, self.fan_in))
        return self.block(backend.asarray(weight), backend.asarray(np.zeros(self.fan_out)), backend)

    def block(self, weight: Array, bias: Array | None, backend: Backend) -> Block:
        """Parameters from a (fan_out, fan_in) matrix and a (fan_out,) vector, which a layer without bias ignores."""
        shaped = {"weight": backend.xp.reshape(weight, self.weight_shape)}
        return {**shaped, "bias": bias} if self.bias else shaped

    def weights(self, block: Block, backend: Backend) -> Weights:
        """The matrix (fan_out, fan_in) and the vector (fan_out,), or None without bias, that `block` was made of."""
        return backend.xp.reshape(block["weight"], (self.fan_out, self.fan_in)), block.get("bias")


class _Compound(Module):
    """Modules in order; their parameter blocks are concatenated."""

    sign: ClassVar[str]
    modules: tuple[Module, ...]

    def __repr__(self) -> str:
        parts = (f"({module!r})" if isinstance(module, _Compound) else repr(module) for module in self.modules)
        return f" {self.sign} ".join(parts)

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(layer for module in self.modules for layer in module.layers)

    def blocks(self, params: Params) -> Iterator[tuple[Module, Params]]:
        """Each module with its own blocks."""
        return zip(self.modules, _split(params, (len(module.layers) for module in self.modules)), strict=True)


@dataclass(frozen=True, repr=False)
class Sequential(_Compound):
    """f >> g >> … (Def. 3 of arXiv 2603.03610): each module takes what the one before returns.

    Attributes:
        modules: in order of application.
        spaces: what each of them returns when the first is given its `in_space`.
        known: spaces already computed for the first modules, so that a chain of `>>` is checked once.
    """

    sign = ">>"
    modules: tuple[Module, ...]
    spaces: tuple[Space, ...] = field(init=False, compare=False)
    known: InitVar[tuple[Space, ...]] = ()

    def __post_init__(self, known: tuple[Space, ...]) -> None:
        space = known[-1] if known else self.in_space
        object.__setattr__(self, "spaces", (*known, *self._through(space, len(known))))

    @property
    def in_space(self) -> Space:
        return self.modules[0].in_space

    def out_space(self, space: Space) -> Space:
        *_, last = self._through(space)
        return last

    def _through(self, space: Space, start: int = 0) -> Iterator[Space]:
        """The output spaces of the modules from `start` on, the first of which is given `space`."""
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
            if rows is None:  # no earlier module has weights
                break
            rows, layers = module.pullback(backend, blocks, part, rows, need_input=need)
            found.append(layers)
        return (rows if need_input else None), [layer for layers in reversed(found) for layer in layers]

    def pushforward(
        self, backend: Backend, params: Params, tape: Any, param_tangents: Params, tangents: Tangents
    ) -> Tangents:
        for (module, blocks), (_, moves), part in zip(
            self.blocks(params), self.blocks(param_tangents), tape, strict=True
        ):
            tangents = module.pushforward(backend, blocks, part, moves, tangents)
        return tangents


@dataclass(frozen=True, repr=False)
class Parallel(_Compound):
    """f * g * … (Def. 4 of arXiv 2603.03610): the product of inputs, parameters, outputs and metrics.

    Attributes:
        modules: in order of their wires, which stand side by side.
    """

    sign = "*"
    modules: tuple[Module, ...]

    @property
    def in_space(self) -> Space:
        return tuple(shape for module in self.modules for shape in module.in_space)

    def out_space(self, space: Space) -> Space:
        if len(space) != len(self.in_space):
            raise ShapeError(f"{self!r} takes {len(self.in_space)} wires, but is given {len(space)}: {describe(space)}")
        return tuple(shape for module, part in self.with_inputs(space) for shape in module.out_space(part))

    def with_inputs(self, wires: tuple[Any, ...]) -> Iterator[tuple[Module, tuple[Any, ...]]]:
        """Each module with its own wires among those of the inputs, or with their shapes."""
        return zip(self.modules, _split(wires, (len(module.in_space) for module in self.modules)), strict=True)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        results = [
            module.forward(backend, blocks, part)
            for (module, part), (_, blocks) in zip(self.with_inputs(wires), self.blocks(params), strict=True)
        ]
        return tuple(wire for outputs, _ in results for wire in outputs), tuple(tape for _, tape in results)

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        widths = [len(module.out_space(module.in_space)) for module in self.modules]
        each = zip(self.blocks(params), tape, _split(cotangents, widths), strict=True)
        results = [
            module.pullback(backend, blocks, own, part, need_input=need_input) for (module, blocks), own, part in each
        ]
        found = [layer for _, layers in results for layer in layers]
        if not need_input:
            return None, found
        return tuple(wire for wires, _ in results if wires is not None for wire in wires), found

    def pushforward(
        self, backend: Backend, params: Params, tape: Any, param_tangents: Params, tangents: Tangents
    ) -> Tangents:
        each = zip(self.with_inputs(tangents), self.blocks(params), self.blocks(param_tangents), tape, strict=True)
        return tuple(
            wire
            for (module, own), (_, blocks), (_, moves), part in each
            for wire in module.pushforward(backend, blocks, part, moves, own)
        )


def _split(items: tuple[Any, ...], counts: Iterable[int]) -> Iterator[tuple[Any, ...]]:
    """Items cut into parts of these lengths."""
    start = 0
    for count in counts:
        yield items[start : start + count]
        start += count


def _parts(kind: type[_Compound], *modules: Module) -> tuple[Module, ...]:
    for module in modules:
        if not isinstance(module, Module):
            raise ShapeError(f"only modules can be composed, not {type(module).__name__} {shown(module)}")
    first, second = (m.modules if isinstance(m, kind) else (m,) for m in modules)
    return first + second
