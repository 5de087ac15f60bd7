"""PyTorch's own losses, as other libraries take them."""

from torch import nn

from rbench.losses import Loss


def criterion(loss: Loss, d: int) -> tuple[nn.Module, float]:
    """PyTorch's module for a loss on d outputs, and what its value is multiplied by to be ours.

    PyTorch's mean is over the outputs of a datum as well, except for cross-entropy, and its squared error has no ½.
    """
    found: dict[str, tuple[nn.Module, float]] = {
        "cross_entropy": (nn.CrossEntropyLoss(), 1.0),
        "squared_error": (nn.MSELoss(), d / 2),
        "binary_cross_entropy": (nn.BCEWithLogitsLoss(), float(d)),
    }
    return found[loss.name]
