"""The batches that a module has seen: its inputs, and the cotangents that came back to its outputs."""

import weakref
from copy import copy
from typing import Any

import torch
from torch import nn

from rbench.backend import Array, Backend
from rbench.errors import LoopError
from rbench.losses import Loss


class Seen:
    """Batches of a module whose outputs had a backward pass, until they are cleared.

    Several, as of gradients that accumulate, are one batch. A forward pass without a backward pass, as in an
    evaluation, leaves nothing.
    """

    def __init__(self, module: nn.Module) -> None:
        self.batches: list[tuple[Any, Array]] = []
        module.register_forward_hook(_Watch(self), with_kwargs=True)

    def note(self, given: tuple[Any, ...], output: Any) -> None:
        """Note a forward pass, once its backward pass reaches the outputs."""
        if isinstance(output, torch.Tensor) and output.requires_grad:
            output.register_hook(lambda cotangent: self.batches.append((given, cotangent.detach())))

    def batch(self) -> tuple[Array, Array]:
        """Inputs (batch, *shape), and cotangents of the mean loss at the outputs, (batch, d).

        Raises:
            LoopError: there is none, or not one tensor was given or returned.
        """
        if not self.batches:
            raise LoopError(
                "no batch was seen since the last step: call the module itself on the data, then backward() of a loss "
                "of what it returns, then step()"
            )
        for given, cotangents in self.batches:
            if len(given) != 1 or not isinstance(given[0], torch.Tensor):
                raise LoopError(f"the module was called on {len(given)} arguments; call it on one tensor")
            if cotangents.ndim != 2:
                raise LoopError(f"the module returned the shape {tuple(cotangents.shape)}; a loss needs (batch, d)")
        inputs, cotangents = zip(*((given[0].detach(), one) for given, one in self.batches), strict=True)
        return torch.cat(inputs), torch.cat(cotangents)


class _Watch:
    """The hook on the module; a copy of the module is not watched."""

    def __init__(self, seen: Seen | None = None) -> None:
        self.seen = (lambda: None) if seen is None else weakref.ref(seen)

    def __call__(self, module: nn.Module, given: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        seen = self.seen()
        if seen is not None:
            seen.note((*given, *named.values()), output)

    def __reduce__(self) -> Any:
        return _Watch, ()


def with_given_cotangents(loss: Loss) -> Loss:
    """The loss, with its cotangents (batch, d) in place of targets; its values are not known.

    For class labels the cotangent is p − e_y, whose only negative entry is the label's.
    """

    class Given(type(loss)):  # type: ignore[misc]
        def values_and_cotangents(self, backend: Backend, z: Array, y: Array) -> tuple[Array, Array]:
            return torch.full_like(z[:, 0], torch.nan), y

        def true_vs_rest_scale(self, backend: Backend, z: Array, y: Array) -> Array:
            return super().true_vs_rest_scale(backend, z, torch.argmin(y, dim=1))

    given = copy(loss)
    object.__setattr__(given, "__class__", Given)  # a loss may be frozen
    return given
