"""One cell in its process: its data and batches, its steps, the clock, evaluations and memory."""

from rbench.experiment import Cell
from rbench.hookspecs import hookimpl
from rbench.train.budget import Budget
from rbench.train.cell import Training

__all__ = ["Budget", "Training"]


@hookimpl
def rbench_experiments() -> list[type[Cell]]:
    """Register training."""
    return [Training]
