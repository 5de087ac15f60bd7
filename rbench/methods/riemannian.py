"""The paper's method, Riemannian gradient descent through the Woodbury identity; and the same by naive inversion."""

from typing import ClassVar, Literal

from rbench.methods.preconditioned import Preconditioned


class Riemannian(Preconditioned):
    """Riemannian gradient descent with layerwise metrics (Algorithm 1 of arXiv 2603.03610), with momentum and KL clip.

    Attributes:
        solver: `gram`, `rows`, `dense`, `inverse`, or `auto`, which chooses for each layer.
    """

    name: ClassVar[str] = "riemannian"
    summary: ClassVar[str] = "Riemannian gradient descent, metric inverted by the Woodbury identity"
    solver: Literal["auto", "gram", "rows", "dense", "inverse"] = "auto"

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
