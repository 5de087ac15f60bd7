"""Four solvers for the Riemannian direction, and the planner that chooses among them."""

from rbench.solvers.base import Direction, Factored, Form
from rbench.solvers.cost import LayerSize
from rbench.solvers.planner import SOLVERS, Update, check_health, check_solver, choose_form, gathered, solve_layers

__all__ = [
    "SOLVERS",
    "Direction",
    "Factored",
    "Form",
    "LayerSize",
    "Update",
    "check_health",
    "check_solver",
    "choose_form",
    "gathered",
    "solve_layers",
]
