"""The paper's method, Riemannian gradient descent through the Woodbury identity; and the same by naive inversion."""

from typing import ClassVar, Literal

from pydantic import model_validator

from rbench.methods.preconditioned import Preconditioned
from rbench.solvers import Coupling, check_coupling


class Riemannian(Preconditioned):
    """Riemannian gradient descent with layerwise metrics (Algorithm 1 of arXiv 2603.03610), with momentum and KL clip.

    Attributes:
        coupling: `layer`, a metric per layer; or `network`, the whole network's, by one factorisation.
        solver: `gram`, `rows`, `dense`, `inverse`, or `auto`, which chooses for each layer.
    """

    name: ClassVar[str] = "riemannian"
    summary: ClassVar[str] = "Riemannian gradient descent, metric inverted by the Woodbury identity"
    solver: Literal["auto", "gram", "rows", "dense", "inverse"] = "auto"
    coupling: Coupling = "layer"

    @model_validator(mode="after")
    def _layers_are_coupled_by_the_capacitance(self) -> "Riemannian":
        check_coupling(self.coupling, self.solver)
        return self

    @property
    def coupled(self) -> Coupling:
        return self.coupling

    @property
    def solver_name(self) -> str:
        return self.solver


class Naive(Preconditioned):
    """Riemannian gradient descent with G⁻¹ formed for each layer: O(n³) time and O(n²) memory, the baseline to beat."""

    name: ClassVar[str] = "naive"
    summary: ClassVar[str] = "the same direction by explicit inversion of each layer's metric, O(n³)"

    @property
    def solver_name(self) -> str:
        return "inverse"
