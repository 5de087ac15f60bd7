"""Optimisers of PyTorch as the state of a step: copied before they move anything, so that the step is pure."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from rbench.methods import map_blocks
from rbench.modules import Params

_PLAIN = frozenset({type(None), bool, int, float, str})
"""Types of values that need no copy; most of an optimiser's are."""


@dataclass
class OptimizerState:
    """Optimisers, and the parameters of a network that they move.

    Attributes:
        params: the parameters.
        tensors: the same in the same order, in the shapes that the optimisers have them in.
        optimizers: each moves some of the tensors.
    """

    params: Params
    tensors: Sequence[torch.Tensor]
    optimizers: Sequence[torch.optim.Optimizer]

    def __post_init__(self) -> None:
        """Keep the initial rates, as PyTorch's schedulers do."""
        for group in self.groups:
            group.setdefault("initial_lr", group["lr"])

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The parameter groups of all optimisers, each with a rate."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def copied(self, params: Params) -> "OptimizerState":
        """Copies of the optimisers that move copies of other values of the parameters."""
        mine = map_blocks(lambda w: w.clone(memory_format=torch.contiguous_format), params)
        tensors = [w.view(old.shape) for old, w in zip(self.tensors, leaves(mine), strict=True)]
        known = {id(old): new for old, new in zip(self.tensors, tensors, strict=True)}
        return OptimizerState(mine, tensors, [_copied(one, known) for one in self.optimizers])

    def step(self, factor: float, differentiated: Callable[[Params], tuple[torch.Tensor, Params]]) -> torch.Tensor:
        """A step at a factor times the initial rates, in place; returns the loss before it.

        The first optimiser asks for the loss and the gradient, as `differentiated` computes them at the parameters:
        once, unless it searches along a line.
        """
        losses: list[torch.Tensor] = []

        def closure() -> torch.Tensor:
            loss, gradient = differentiated(self.params)
            for tensor, slope in zip(self.tensors, leaves(gradient), strict=True):
                tensor.grad = slope.reshape(tensor.shape).contiguous()
            losses.append(loss)
            return loss

        for group in self.groups:
            group["lr"] = factor * group["initial_lr"]
        first, *others = self.optimizers
        first.step(closure)
        for optimizer in others:
            optimizer.step()
        return losses[0]


def leaves(params: Params) -> list[torch.Tensor]:
    """The arrays of parameters, in order."""
    return [array for block in params for array in block.values()]


def _copied(value: Any, known: dict[int, Any]) -> Any:
    """A deep copy, as `copy.deepcopy` makes it with the memo `known`, but quicker and of whole optimisers.

    Of these `deepcopy` leaves attributes out, such as the parameters of LBFGS.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    made = known.get(id(value))
    if made is not None:
        return made
    if isinstance(value, torch.Tensor):
        made = value.clone()
    elif isinstance(value, dict):
        made = {} if kind is dict else copy.copy(value)  # its own kind, such as a defaultdict
        made.clear()
        for key, item in value.items():
            made[_copied(key, known)] = _copied(item, known)
    elif kind in (list, tuple):
        made = kind([_copied(item, known) for item in value])
    elif isinstance(value, torch.optim.Optimizer):
        made = object.__new__(kind)
        vars(made).update(_copied(vars(value), known))
    else:
        made = copy.deepcopy(value, known)
    known[id(value)] = made
    return made
