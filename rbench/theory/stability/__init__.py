"""Algorithmic stability (arXiv 2603.03610, Sec. 3.5): how far one datum moves a trained module."""

from rbench.theory.stability.cells import Stability

__all__ = ["Stability"]
