"""PyTorch's own differentiation of a network's loss within a step."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from rbench.losses import Loss
from rbench.methods import Batch


@contextmanager
def differentiating() -> Iterator[None]:
    """Record for differentiation, which the steps of the backend do not."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def recordable(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets as tensors that differentiation can keep, as those made in inference mode are not."""
    x: Any = batch.x
    return x.clone(), batch.y.clone()


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
