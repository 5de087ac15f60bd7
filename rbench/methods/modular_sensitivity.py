"""How strongly a network's outputs depend on each layer's, by the calculus of the modular norm (Large et al. 2024).

The sensitivity of a module is a number σ with ‖Δy‖ ≤ σ ‖Δx‖ for weights of norm 1, norms being root mean squares over
the entries of a wire, and sums over wires; borders of images are left out of account. It is no bound for `ReLU` and
`GELU`, whose σ is the authors' 1/√2 and not their Lipschitz constant, and for a `Conv2d` whose kernel is no multiple of
its stride: it sees some pixels more often than others, with stride 2 and kernel 1 a quarter of them alone.

The sensitivity of f >> g is the product of both, and that of `Copy() >> (f * g) >> Add()` their sum. It is computed
backwards, wire by wire, so that these two rules follow from those of the parts.
"""

from typing import TypeAlias

from rbench.errors import SpecError
from rbench.modules import (
    GELU,
    Add,
    AvgPool2d,
    Copy,
    Equilibrium,
    Flatten,
    Identity,
    Layer,
    MaxPool2d,
    Module,
    Parallel,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)

Sensitivities: TypeAlias = tuple[float, ...]
"""Of the network's outputs to each wire of a module."""

_POINTWISE: dict[type[Module], float] = {Tanh: 1.0, Sigmoid: 0.25, ReLU: 0.5**0.5, GELU: 0.5**0.5}
"""Lipschitz constants; for `ReLU` and `GELU` the authors' 1/√2, which is none: as if half of the entries passed."""


def downstream(net: Module) -> list[float]:
    """For every layer, the sensitivity of the network's outputs to the layer's, in order of their blocks.

    Raises:
        SpecError: a module has no sensitivity, such as `Exp`, whose slope has no bound, or `Equilibrium`, whose slope
            is not bounded by the norm of its weight.
    """
    outputs = len(net.out_space(net.in_space))
    return _pulled(net, (1.0,) * outputs)[1]


def _pulled(module: Module, after: Sensitivities) -> tuple[Sensitivities, list[float]]:
    """Sensitivities to the module's inputs, given those to its outputs, and those to the outputs of its layers."""
    match module:
        case Sequential(modules=parts):
            found: list[float] = []
            for part in reversed(parts):
                after, inner = _pulled(part, after)
                found = inner + found
            return after, found
        case Parallel(modules=parts):
            before: Sensitivities = ()
            found = []
            for part in parts:
                count = len(part.out_space(part.in_space))
                pulled, inner = _pulled(part, after[:count])
                after = after[count:]
                before += pulled
                found += inner
            return before, found
        case Layer() if not isinstance(module, Equilibrium):
            return after, [after[0]]
        case Copy():
            return (after[0] + after[1],), []
        case Add():
            return (after[0], after[0]), []
        case Identity() | Flatten() | AvgPool2d():
            return after, []
        case MaxPool2d(kernel=kernel):
            return (kernel * after[0],), []
        case _ if type(module) in _POINTWISE:
            return (_POINTWISE[type(module)] * after[0],), []
    raise SpecError(f"the modular norm has no sensitivity for {module!r}: it needs a bound of its slope")
