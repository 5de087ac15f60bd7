"""Naive inversion: the same update, with the metric's inverse formed."""

from typing import ClassVar

from rbench.methods.preconditioned import Preconditioned


class Naive(Preconditioned):
    """Riemannian gradient descent with G⁻¹ formed for each layer: O(n³) time and O(n²) memory, the baseline to beat."""

    name: ClassVar[str] = "naive"
    summary: ClassVar[str] = "the same direction by explicit inversion of each layer's metric, O(n³)"

    @property
    def solver_name(self) -> str:
        return "inverse"
