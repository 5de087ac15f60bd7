"""PyTorch's own differentiation within a step, which the backend runs in inference mode."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._pytree import tree_map

from rbench.methods import Batch, Problem, map_blocks
from rbench.modules import Params


@contextmanager
def differentiating() -> Iterator[None]:
    """Record for differentiation, which the steps of the backend do not."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def recordable(batch: Batch) -> Batch:
    """A batch of tensors that differentiation can keep, as those made in inference mode are not."""
    return batch._replace(x=tree_map(torch.clone, batch.x), y=torch.clone(batch.y))


def by_autograd(problem: Problem, params: Params, batch: Batch) -> tuple[torch.Tensor, Params]:
    """The mean loss of a batch and its gradient, as PyTorch differentiates the forward pass."""
    with differentiating():
        params = map_blocks(lambda w: w.clone().requires_grad_(), params)
        loss = problem.value(params, recordable(batch))
        loss.backward()
        return loss.detach(), map_blocks(lambda w: w.grad, params)
