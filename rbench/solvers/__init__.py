"""Four solvers for the Riemannian direction, and the planner that chooses among them."""

from rbench.solvers.base import Direction, Factored, Form
from rbench.solvers.conjugate import conjugate_gradients
from rbench.solvers.cost import LayerSize
from rbench.solvers.network import COUPLINGS, Coupling, NetworkSolver, check_coupling
from rbench.solvers.planner import SOLVERS, Update, check_health, check_solver, choose_form, gathered

__all__ = [
    "COUPLINGS",
    "SOLVERS",
    "Coupling",
    "Direction",
    "Factored",
    "Form",
    "LayerSize",
    "NetworkSolver",
    "Update",
    "check_coupling",
    "check_health",
    "check_solver",
    "choose_form",
    "conjugate_gradients",
    "gathered",
]
