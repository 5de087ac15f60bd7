"""Measuring costs: the time and memory of a step and of its parts, with pytest-benchmark or each in its own process."""

from rbench.cost.cells import COST_FIELDS, PartTime, StepCost, StepTime
from rbench.cost.networks import network
from rbench.cost.parts import PARTS
from rbench.cost.suite import CostSuite, Sweep
from rbench.experiment import Cell
from rbench.hookspecs import hookimpl

__all__ = [
    "COST_FIELDS",
    "PARTS",
    "CostSuite",
    "PartTime",
    "StepCost",
    "StepTime",
    "Sweep",
    "network",
]


@hookimpl
def rbench_experiments() -> list[type[Cell]]:
    """Register the experiments that measure costs."""
    return [StepTime, PartTime, StepCost]
