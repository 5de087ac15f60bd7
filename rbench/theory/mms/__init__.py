"""Minimizing movements of networks (arXiv 2605.27779): an outer scheme in function space, and its inner solvers."""

from rbench.theory.mms.cells import Mms

__all__ = ["Mms"]
