"""The Woodbury update, four ways, and the planner that chooses among them."""

from rbench.solvers.base import Direction, LayerSize, Solver
from rbench.solvers.planner import SOLVERS, choose_solver
from rbench.solvers.update import Update, check_health, solve_layers

__all__ = ["SOLVERS", "Direction", "LayerSize", "Solver", "Update", "check_health", "choose_solver", "solve_layers"]
