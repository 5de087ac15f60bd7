"""What the papers prove, measured: experiments on small networks, in float64."""

from rbench.experiment import Cell
from rbench.hookspecs import hookimpl
from rbench.theory.action import Action, StatementCell
from rbench.theory.mms import Mms
from rbench.theory.stability import Stability
from rbench.theory.suite import Part, TheoryCell, TheorySuite

__all__ = ["Action", "Mms", "Part", "Stability", "StatementCell", "TheoryCell", "TheorySuite"]


@hookimpl
def rbench_experiments() -> list[type[Cell]]:
    """Register the experiments on the theory."""
    return [Action, StatementCell, Stability, Mms]
