"""The principle of least action (arXiv 2603.03610, Sec. 2): paths, and what is true of them."""

from rbench.theory.action.cells import Action
from rbench.theory.action.statements import StatementCell

__all__ = ["Action", "StatementCell"]
