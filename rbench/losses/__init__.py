"""Losses, by name."""

from rbench.errors import MetricError
from rbench.losses.base import Loss
from rbench.losses.bernoulli import BinaryCrossEntropy
from rbench.losses.cross_entropy import CrossEntropy
from rbench.losses.squared_error import SquaredError
from rbench.names import unknown

LOSSES: dict[str, Loss] = {loss.name: loss for loss in (CrossEntropy(), SquaredError(), BinaryCrossEntropy())}


def get_loss(name: str) -> Loss:
    """The loss called `name`.

    Raises:
        MetricError: there is none; the message lists what there is.
    """
    if not isinstance(name, str) or name not in LOSSES:
        raise MetricError(unknown("loss", name, LOSSES))
    return LOSSES[name]


__all__ = ["LOSSES", "BinaryCrossEntropy", "CrossEntropy", "Loss", "SquaredError", "get_loss"]
