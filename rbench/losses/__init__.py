"""Losses, one per file, and their registration."""

from rbench.errors import MetricError
from rbench.hookspecs import hookimpl
from rbench.losses.base import Loss
from rbench.losses.bernoulli import BinaryCrossEntropy
from rbench.losses.cross_entropy import CrossEntropy
from rbench.losses.dense import DenseLoss
from rbench.losses.squared_error import SquaredError
from rbench.plugins import plugins

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "DenseLoss", "Loss", "SquaredError", "get_loss"]


@hookimpl
def rbench_losses() -> list[Loss]:
    """Register the built-in losses."""
    return [CrossEntropy(), SquaredError(), BinaryCrossEntropy()]


def get_loss(name: str) -> Loss:
    """The registered loss called `name`.

    Raises:
        MetricError: there is none; the message lists the registered losses.
    """
    loss: Loss = plugins().find("losses", name, MetricError)
    return loss
