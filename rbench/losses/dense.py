"""A loss's dense definition: an independent one, for one datum in plain NumPy."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Numbers: TypeAlias = np.ndarray[Any, Any]

STEP = 1e-30
"""h of complex steps."""


@dataclass(frozen=True)
class DenseLoss:
    """A loss written out from its formulas in float64; the equivalence gate compares the loss with it.

    It shares no code with the loss. Where the gate takes a derivative, f'(z) = Im f(z + ih)/h (Squire and Trapp 1998),
    the outputs z (d,) are complex: `value` and `cotangent` must be holomorphic in z, and compare or round only z.real.

    Attributes:
        value: ℓ(z, y), a number.
        cotangent: ∂ℓ/∂z, (d,); the gate compares it with `value`, and its derivative with the Hessian.
        mean: of p(y | z), (d,).
        draw: targets (batch, samples, …) ~ p(· | z), given a generator, z (batch, d) and the samples per datum; it
            draws the same numbers from the generator as `Loss.noise`.
    """

    value: Callable[[Numbers, Any], Any]
    cotangent: Callable[[Numbers, Any], Numbers]
    mean: Callable[[Numbers], Numbers]
    draw: Callable[[np.random.Generator, Numbers, int], Numbers]

    def derivative(self, z: Numbers, y: Any) -> Numbers:
        """∂ℓ/∂z (d,), the derivative of `value`."""
        return np.array([self.value(moved, y).imag for moved in _moved(z)]) / STEP

    def hessian(self, z: Numbers, y: Any) -> Numbers:
        """∂²ℓ/∂z² (d, d), the derivative of `cotangent`."""
        return np.array([self.cotangent(moved, y).imag for moved in _moved(z)]) / STEP


def _moved(z: Numbers) -> Numbers:
    """z moved along each of its axes, (d, d)."""
    return np.asarray(z + 1j * STEP * np.eye(len(z)))
