"""Measuring costs: the time and memory of a step and of its parts, with pytest-benchmark or each in a process alone."""

from rbench.cost.networks import network
from rbench.cost.parts import PARTS
from rbench.cost.request import Case, CostRequest, Plan, find_cost_suite
from rbench.cost.results import COST_FIELDS, Place, places
from rbench.cost.session import measure

__all__ = [
    "COST_FIELDS",
    "PARTS",
    "Case",
    "CostRequest",
    "Place",
    "Plan",
    "find_cost_suite",
    "measure",
    "network",
    "places",
]
