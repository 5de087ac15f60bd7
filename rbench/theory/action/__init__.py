"""The principle of least action (arXiv 2603.03610, Sec. 2): paths, and what they do beyond the loss's fall."""

from rbench.theory.action.cells import Action

__all__ = ["Action"]
