"""Networks on jets: a function's value, gradient and Laplacian at one point, propagated forward layer by layer.

A jet holds n functions of x ∈ R^d at one point as the rows u; ∂_1 u, …, ∂_d u; Δu of an array (d + 2, n), and a module
maps the jets of its inputs to those of its outputs: the forward Laplacian (Li et al. 2023, arXiv 2307.08214). Given the
jets of the coordinates, with rows x, I and 0, a network returns its own jets. What is linear in these, such as the
residual of a differential equation, then has its metric pulled back like any other output.
"""

from dataclasses import dataclass
from typing import Any

from rbench.backend import Array, Backend
from rbench.errors import ShapeError
from rbench.modules.inputs import Points
from rbench.modules.linear import Linear
from rbench.modules.module import Block, Layer, Params, Scheme, Tangents, Wires
from rbench.modules.pullback import LayerPullback, as_matrix
from rbench.modules.space import Space, describe, fitted, settle_sizes
from rbench.modules.wiring import Weightless


@dataclass(frozen=True, repr=False)
class JetLinear(Layer):
    """y = W x + b on jets (components, in_features): W acts on every component, and b is added to the value alone.

    The weight (out_features, in_features + 1) is [W b], and components are positions that share it: the inputs of the
    value end in a 1, those of the derivatives in a 0.

    Attributes:
        in_features: functions in the input's jets.
        out_features: functions in the output's jets.
    """

    in_features: int
    out_features: int
    bias = False

    def __post_init__(self) -> None:
        settle_sizes(self, "in_features", "out_features")

    @property
    def weight_shape(self) -> tuple[int, ...]:
        return (self.out_features, self.in_features + 1)

    def draw(self, backend: Backend, seed: int, index: int, scheme: Scheme) -> Block:
        affine = Linear(self.in_features, self.out_features).draw(backend, seed, index, scheme)
        return {"weight": as_matrix(backend, (affine["weight"], affine["bias"]))}

    @property
    def in_space(self) -> Space:
        return ((None, self.in_features),)

    def out_space(self, space: Space) -> Space:
        components, _ = fitted(self, space, (None, self.in_features))
        return ((components, self.out_features),)

    def positions(self, space: Space) -> int:
        ((components, _),) = self.out_space(space)  # type: ignore[misc]
        return int(components or 0)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        xp = backend.xp
        (x,) = wires
        (block,) = params
        ones = xp.concat([xp.ones_like(x[:, :1, :1]), xp.zeros_like(x[:, 1:, :1])], axis=1)
        inputs = xp.concat([x, ones], axis=2)
        # One product over all components: a batch of small products is many times slower.
        flat = xp.reshape(inputs, (-1, inputs.shape[2])) @ block["weight"].T
        return (xp.reshape(flat, (*x.shape[:2], self.out_features)),), inputs

    def pullback(
        self, backend: Backend, params: Params, tape: Any, cotangents: Wires, *, need_input: bool = True
    ) -> tuple[Wires | None, list[LayerPullback]]:
        xp = backend.xp
        (rows,) = cotangents
        (block,) = params
        layer = LayerPullback(backend, Points(backend, tape), rows, False)
        if not need_input:
            return None, [layer]
        flat = xp.reshape(rows, (-1, self.out_features)) @ block["weight"][:, : self.in_features]
        return (xp.reshape(flat, (*rows.shape[:3], self.in_features)),), [layer]

    def pushforward(
        self, backend: Backend, params: Params, tape: Any, param_tangents: Params, tangents: Tangents
    ) -> Tangents:
        (block,), (move,), (tangent,) = params, param_tangents, tangents
        pushed = tape @ move["weight"].T
        return (pushed if tangent is None else pushed + tangent @ block["weight"][:, : self.in_features].T,)


@dataclass(frozen=True)
class JetTanh(Weightless):
    """σ = tanh on jets (d + 2, n), of the functions u to those of σ(u).

    The components are σ, σ' ∂_i u and σ' Δu + σ'' Σ_i (∂_i u)², with σ' = 1 − σ², σ'' = −2 σ σ' and, for the pullback,
    σ''' = (6 σ² − 2) σ'.
    """

    @property
    def in_space(self) -> Space:
        return ((None, None),)

    def out_space(self, space: Space) -> Space:
        components, features = fitted(self, space, (None, None), "jets (components, functions)")
        if components is not None and components < 3:
            raise ShapeError(
                f"{self!r} takes jets of a value, one derivative at least and a Laplacian, but is given "
                f"{describe(space)}"
            )
        return ((components, features),)

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        (x,) = wires
        value = backend.xp.tanh(x[:, :1, :])
        slopes, laplacian = x[:, 1:-1, :], x[:, -1:, :]
        first, second = _derivatives(value)
        squares = _over_components(backend, slopes**2)
        parts = [value, first * slopes, first * laplacian + second * squares]
        return (backend.xp.concat(parts, axis=1),), (value, slopes, laplacian)

    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        value, slopes, laplacian = (part[:, None, :, :] for part in tape)
        (rows,) = cotangents
        of_value, of_slopes, of_laplacian = rows[:, :, :1, :], rows[:, :, 1:-1, :], rows[:, :, -1:, :]
        first, second = _derivatives(value)
        third = (6 * value * value - 2) * first
        through_slopes = second * _over_components(backend, slopes * of_slopes)
        through_laplacian = second * laplacian + third * _over_components(backend, slopes**2)
        parts = [
            first * of_value + through_slopes + through_laplacian * of_laplacian,
            first * of_slopes + 2 * second * slopes * of_laplacian,
            first * of_laplacian,
        ]
        return (backend.xp.concat(parts, axis=2),)

    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        value, slopes, laplacian = tape
        (tangent,) = tangents
        of_value, of_slopes, of_laplacian = tangent[:, :1, :], tangent[:, 1:-1, :], tangent[:, -1:, :]
        first, second = _derivatives(value)
        third = (6 * value * value - 2) * first
        through_value = second * laplacian + third * _over_components(backend, slopes**2)
        through_slopes = 2 * second * _over_components(backend, slopes * of_slopes)
        parts = [
            first * of_value,
            first * of_slopes + second * slopes * of_value,
            first * of_laplacian + through_value * of_value + through_slopes,
        ]
        return (backend.xp.concat(parts, axis=1),)


def _derivatives(value: Array) -> tuple[Array, Array]:
    """σ' and σ'', given σ = tanh."""
    first = 1 - value * value
    return first, -2 * value * first


def _over_components(backend: Backend, array: Array) -> Array:
    """The sum over the components, the last axis but one, which is kept."""
    return backend.xp.sum(array, axis=-2, keepdims=True)
