"""Methods that another library makes the steps of."""

from typing import ClassVar

from rbench.errors import SpecError
from rbench.methods.base import Method
from rbench.metrics import Problem
from rbench.modules import Conv2d, Layer, Linear
from rbench.probe import package_problem

LOSSES = ("cross_entropy", "squared_error", "binary_cross_entropy")
"""Losses that the libraries know; their Hessians need more than a value to differentiate."""


class Peer(Method):
    """A method of another library, on the network in its framework's form, which the framework differentiates itself.

    It is there to be compared with: its gradient is not the one that the equivalence gate checks, and its step costs
    what its library takes.

    Attributes:
        package: the library, as it is imported.
        trains: the kinds of layers that the library trains.
    """

    package: ClassVar[str]
    trains: ClassVar[tuple[type[Layer], ...]] = (Linear, Conv2d)

    @classmethod
    def unavailable(cls) -> str | None:
        return package_problem(cls.package, "pip install 'rbench[peers]'")

    def check(self, problem: Problem) -> None:
        others = [layer for layer in problem.net.layers if type(layer) not in self.trains]
        if others:
            known = " and ".join(kind.__name__ for kind in self.trains)
            raise SpecError(f"method {self.name!r} trains {known} only, and the network has {others[0]!r}")
        if problem.loss.name not in LOSSES:
            raise SpecError(f"method {self.name!r} knows the losses {', '.join(LOSSES)}, not {problem.loss.name!r}")
