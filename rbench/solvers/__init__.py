"""The Woodbury update, four ways, and the planner that chooses among them."""

from rbench.solvers.base import Block, Direction, Factored, Form, LayerSize, Solver
from rbench.solvers.planner import SOLVERS, check_solver, choose_form
from rbench.solvers.update import Update, check_health, solve_factored_layers, solve_layers

__all__ = [
    "SOLVERS",
    "Block",
    "Direction",
    "Factored",
    "Form",
    "LayerSize",
    "Solver",
    "Update",
    "check_health",
    "check_solver",
    "choose_form",
    "solve_factored_layers",
    "solve_layers",
]
