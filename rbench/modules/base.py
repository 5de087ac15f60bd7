"""What a module of the algebra is: spaces, parameters, forward, pullback.

Layouts, here and everywhere:

- an activation is (batch, *shape); a value on several wires is a tuple of activations;
- cotangents, and the rows of a metric factor F with metric G_b = F_bᵀ F_b, are (batch, rows, *shape);
- a layer block is all parameters of one layer: its weight and its bias.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from rbench.backend import Array, Backend
from rbench.errors import ShapeError
from rbench.modules.inputs import Inputs
from rbench.plugins import as_backend
from rbench.random import check_seed

if TYPE_CHECKING:
    from rbench.modules.layer import Layer

Shape: TypeAlias = tuple[int | None, ...] | None
"""Shape of one wire without the batch; None for any size of an axis, or for any shape at all."""

Space: TypeAlias = tuple[Shape, ...]
"""Shapes of a module's wires, in order."""

Wires: TypeAlias = tuple[Array, ...]
"""One array a wire."""

Block: TypeAlias = dict[str, Array]
"""Parameters of one layer: `weight`, and `bias` where it has one."""

Scheme: TypeAlias = Literal["glorot", "lecun", "he"]
"""How large initial weights are."""

Params: TypeAlias = tuple[Block, ...]
"""One block for each layer that has weights, in order."""


@dataclass(frozen=True)
class LayerPullback:
    """A layer that is linear in its weights, seen as two matrices.

    A row (b, k) of cotangents, pulled back to the layer's weights, is Σ_t cotangents[b, k, t] ⊗ [inputs[b, t]; 1], the
    1 where the layer has a bias (Ex. 1 of arXiv 2603.03610 is the case of one position).

    Attributes:
        source: the layer's inputs, what multiplies the weights.
        cotangents: rows at the layer's outputs, (batch, rows, positions, fan_out).
        bias: whether the layer has a bias.
    """

    source: Inputs
    cotangents: Array
    bias: bool

    @property
    def inputs(self) -> Array:
        """The inputs as a matrix, (batch, positions, fan_in)."""
        return self.source.matrix


class Module(ABC):
    """A Riemannian module (Def. 2 of arXiv 2603.03610): a smooth map f(w, x) between spaces, and how metrics pull back.

    Structure is static and hashable, weights are an argument. `f >> g` composes in sequence (Def. 3), `f * g` in
    parallel (Def. 4).
    """

    @property
    @abstractmethod
    def in_space(self) -> Space:
        """Shapes that the module takes, one a wire; None where it takes any."""

    @abstractmethod
    def out_space(self, space: Space) -> Space:
        """Shapes that it returns when it is given `space`.

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
        """Apply Jᵀ to every row of the cotangents at the outputs.

        Args:
            backend: the arrays' backend.
            params: one block a layer.
            tape: what `forward` returned.
            cotangents: one array a wire, each (batch, rows, *shape).
            need_input: whether the cotangents at the inputs are wanted; a first layer saves a product without.

        Returns:
            Cotangents at the inputs (None where not needed), and for each layer with weights, in order, the pair of
            matrices that its rows are made of.
        """

    @property
    def layers(self) -> "tuple[Layer, ...]":
        """The modules inside that have weights, in order of their blocks."""
        return ()

    def apply(self, backend: Backend, params: Params, x: Array | Wires) -> Array | Wires:
        """f(w, x) for one array, or a tuple of one array a wire; returns likewise."""
        outputs, _ = self.forward(backend, params, x if isinstance(x, tuple) else (x,))
        return outputs[0] if len(outputs) == 1 else outputs

    def init(self, backend: Backend | str, seed: int = 0, scheme: Scheme = "glorot") -> Params:
        """Draw initial parameters on the host, the same numbers for every backend.

        Weights are uniform with mean zero, biases zero, gains of `ScaleShift` as it says.

        Args:
            backend: where the arrays are put; a name stands for that backend in float32.
            seed: any integer ≥ 0; every layer draws from a stream of its own.
            scheme: the weights' variance: `glorot`, 2 / (fan_in + fan_out) (Glorot and Bengio 2010); or `lecun`,
                1 / fan_in (LeCun et al. 1998), which keeps the size of activations where layers widen; `he`,
                2 / fan_in (He et al. 2015), which does so behind ReLUs. A convolution's fans count its kernel's pixels.
        """
        check_seed(seed)
        at = as_backend(backend)
        return tuple(layer.draw(at, seed, index, scheme) for index, layer in enumerate(self.layers))

    def __rshift__(self, other: "Module") -> "Module":
        from rbench.modules.compose import sequence

        return sequence(self, other)

    def __mul__(self, other: "Module") -> "Module":
        from rbench.modules.compose import parallel

        return parallel(self, other)


def one_shape(module: Module, space: Space) -> Shape:
    """The shape of the only wire of `space`.

    Raises:
        ShapeError: there are more or fewer wires.
    """
    if len(space) != 1:
        raise ShapeError(f"{module!r} takes one wire, but {len(space)} come: {describe(space)}")
    return space[0]


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
