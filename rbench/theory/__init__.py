"""What the papers prove, measured: experiments on small networks, in float64."""

from rbench.experiment import Cell
from rbench.hookspecs import hookimpl
from rbench.theory.action import Action, Held
from rbench.theory.mms import Mms
from rbench.theory.stability import Stability
from rbench.theory.suite import Part, TheoryCell, TheorySuite

__all__ = ["Action", "Held", "Mms", "Part", "Stability", "TheoryCell", "TheorySuite"]


@hookimpl
def rbench_experiments() -> list[type[Cell]]:
    """Register the experiments on the theory."""
    return [Action, Held, Stability, Mms]
