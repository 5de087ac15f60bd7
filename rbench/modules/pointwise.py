"""Pointwise nonlinearities (Ex. 2 of arXiv 2603.03610): a factor F pulls back to F · diag(σ'(x))."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

from rbench.backend import Array, Backend
from rbench.modules.module import Params, Wires
from rbench.modules.wiring import Weightless


class Pointwise(Weightless):
    """y_i = σ(x_i), for any shape (Ex. 2 of arXiv 2603.03610)."""

    @abstractmethod
    def value(self, backend: Backend, x: Array) -> Array:
        """σ(x), elementwise."""

    @abstractmethod
    def derivative(self, backend: Backend, x: Array, y: Array) -> Array:
        """σ'(x), elementwise, given y = σ(x) as well."""

    def forward(self, backend: Backend, params: Params, wires: Wires) -> tuple[Wires, Any]:
        (x,) = wires
        y = self.value(backend, x)
        return (y,), (x, y)

    def transpose(self, backend: Backend, tape: Any, cotangents: Wires) -> Wires:
        return (cotangents[0] * self.derivative(backend, *tape)[:, None, ...],)

    def push_tangents(self, backend: Backend, tape: Any, tangents: Wires) -> Wires:
        return (tangents[0] * self.derivative(backend, *tape),)


@dataclass(frozen=True)
class Tanh(Pointwise):
    """σ(x) = tanh x."""

    def value(self, backend: Backend, x: Array) -> Array:
        return backend.xp.tanh(x)

    def derivative(self, backend: Backend, x: Array, y: Array) -> Array:
        return 1 - y * y


@dataclass(frozen=True)
class ReLU(Pointwise):
    """σ(x) = max(x, 0), with σ'(0) = 0."""

    def value(self, backend: Backend, x: Array) -> Array:
        return backend.xp.maximum(x, backend.xp.zeros_like(x))

    def derivative(self, backend: Backend, x: Array, y: Array) -> Array:
        return backend.xp.astype(x > 0, x.dtype)


def sigmoid(backend: Backend, x: Array) -> Array:
    """1 / (1 + e⁻ˣ), computed from e⁻|ˣ| so that nothing overflows and small values stay accurate."""
    xp = backend.xp
    small = xp.exp(-xp.abs(x))
    return xp.where(x < 0, small, xp.ones_like(small)) / (1 + small)


@dataclass(frozen=True)
class Sigmoid(Pointwise):
    """σ(x) = 1 / (1 + e⁻ˣ)."""

    def value(self, backend: Backend, x: Array) -> Array:
        return sigmoid(backend, x)

    def derivative(self, backend: Backend, x: Array, y: Array) -> Array:
        return y * (1 - y)


@dataclass(frozen=True)
class GELU(Pointwise):
    """σ(x) = x Φ(x), Φ the normal distribution function (Hendrycks and Gimpel 2016, the exact form)."""

    def value(self, backend: Backend, x: Array) -> Array:
        return x * self._normal_cdf(backend, x)

    def derivative(self, backend: Backend, x: Array, y: Array) -> Array:
        density = backend.xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
        return self._normal_cdf(backend, x) + x * density

    def _normal_cdf(self, backend: Backend, x: Array) -> Array:
        return 0.5 + 0.5 * backend.erf(x / math.sqrt(2))


@dataclass(frozen=True)
class Exp(Pointwise):
    """σ(x) = eˣ; two linear layers around it are a sum of exponentials."""

    def value(self, backend: Backend, x: Array) -> Array:
        return backend.xp.exp(x)

    def derivative(self, backend: Backend, x: Array, y: Array) -> Array:
        return y
