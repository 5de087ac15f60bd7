"""The common part of rbench's optimisers for PyTorch: a method's steps along the gradients that parameters have."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from rbench.errors import LoopError, ParameterError
from rbench.losses import get_loss
from rbench.methods import Batch, Problem, State
from rbench.methods.curved import Curved
from rbench.methods.own_loop import LEFT_OUT, drawn_noise, keeps_rows, own_loop_method
from rbench.modules import Params
from rbench.random import check_seed
from rbench.solvers import check_health
from rbench_torch.backend import TorchBackend
from rbench_torch.networks.graph import Parameters
from rbench_torch.networks.tracing import trace
from rbench_torch.seen import Seen, with_given_cotangents


class OwnLoop(torch.optim.Optimizer):  # type: ignore[misc]
    """A method of rbench whose gradients are those of the parameters, and whose metric is that of the batch seen.

    `param_groups[0]` holds the method's settings. The state is kept at the first parameter: `step`, the steps made;
    `arrays`, those of the method's state; and `size`, data in the batch of the last metric.

    Attributes:
        kind: the method's class.
    """

    kind: ClassVar[type[Curved]]

    def __init__(
        self,
        module: nn.Module,
        loss: str,
        lr: float = 0.01,
        *,
        shape: tuple[int, ...] | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> None:
        check_seed(seed)
        net, self._blocks = trace(module, shape)
        self._names = _checked_names(module, self._blocks)
        first = next(iter(self._names))
        backend = TorchBackend(str(first.dtype).rpartition(".")[2], str(first.device))
        self._problem = Problem(backend, net, with_given_cotangents(get_loss(loss)))
        self._method = own_loop_method(self.kind, self._problem, {"lr": lr, **settings})
        self._seed = seed
        self._structure: Any = None
        self._seen = Seen(module)
        chosen = self._method.model_dump(exclude=set(LEFT_OUT))
        super().__init__(list(self._names), chosen)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        if self.param_groups:
            raise ParameterError("the metric is that of a whole module, whose parameters are the one group")
        super().add_param_group(param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        self._seen.batches.clear()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._structure = None

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move the parameters along their gradients, by the metric of the batch seen since the last step.

        Args:
            closure: computes the loss and its gradients and returns it, as PyTorch's optimisers take it.

        Returns:
            What the closure returned; None without one.

        Raises:
            LoopError: no batch was seen, a parameter has no gradient, or the module is not what it was.
            CapacitanceError: the matrix of a layer could not be factored; the parameters are as before.
        """
        result = None
        if closure is not None:
            with torch.enable_grad():
                result = closure()
        with self._problem.backend.inference():
            self._move()
        return result

    def _move(self) -> None:
        group = self.param_groups[0]
        kept = self.state[group["params"][0]]
        step = kept.get("step", 0)
        method = self._current(group)
        phase = method.phase(step)
        batch = self._batch(method, step)
        size = batch.y.shape[0]
        if method.pulls_rows(phase):
            kept["size"] = size
        elif keeps_rows(method) and size != kept["size"]:
            raise LoopError(
                f"refresh={method.refresh} keeps the metric of a batch of {kept['size']} data, and this has {size}: "
                "make all batches of one size, as drop_last=True of a DataLoader does"
            )
        params: Params = tuple({name: value.detach() for name, value in block.items()} for block in self._blocks)
        state = self._last_state(method, params, batch, kept)
        scalars = method.scalars(step, 1) | {"lr": float(group["lr"])}
        moved = method.step(self._problem, params, state, batch, scalars, phase)
        check_health(self._problem.backend.to_numpy(moved.health), step)
        for block, new in zip(self._blocks, moved.params, strict=True):
            for name, parameter in block.items():
                parameter.copy_(new[name])
        kept["arrays"], self._structure = tree_flatten(moved.state)
        kept["step"] = step + 1
        self._seen.batches.clear()

    def _current(self, group: dict[str, Any]) -> Curved:
        """The method with the group's settings, which a user may change; its rate is given at every step."""
        chosen = {name: value for name, value in group.items() if name in self.defaults and name != "lr"}
        if chosen != self._method.model_dump(include=set(chosen)):
            self._method = own_loop_method(self.kind, self._problem, chosen)
        return self._method

    def _batch(self, method: Curved, step: int) -> Batch:
        """The batch seen, with the cotangents of each datum's loss as targets, and the parameters' gradients."""
        backend = self._problem.backend
        inputs, cotangents = self._seen.batch()
        noise = drawn_noise(self._problem, method, self._seed, step, *cotangents.shape)
        self._check_gradients()
        if noise is not None:
            noise = backend.asarray(noise)
        gradient = tuple({name: parameter.grad for name, parameter in block.items()} for block in self._blocks)
        return Batch(backend.asarray(inputs), backend.asarray(cotangents) * len(cotangents), noise, gradient)

    def _check_gradients(self) -> None:
        """Raise a `LoopError` unless every parameter is as it was at the start and has a gradient."""
        backend = self._problem.backend
        for layer, block in zip(self._problem.net.layers, self._blocks, strict=True):
            for name, parameter in block.items():
                called = f"parameter {self._names[parameter]!r}"
                if tuple(parameter.shape) != layer.shapes[name] or not backend.is_here(parameter):
                    raise LoopError(
                        f"{called} is {tuple(parameter.shape)} on {parameter.device}, and was {layer.shapes[name]} on "
                        f"{backend.device} when the optimiser was made; make a new one"
                    )
                if parameter.grad is None:
                    raise LoopError(
                        f"{called} has no gradient: call backward() before step(); or, if the module has other "
                        "parameters now than when the optimiser was made, make a new one"
                    )

    def _last_state(self, method: Curved, params: Params, batch: Batch, kept: dict[str, Any]) -> State:
        """The method's state after the last step, of a loaded `state_dict`, or before the first step."""
        if self._structure is None:
            arrays, self._structure = tree_flatten(method.start(self._problem, params, batch))
            kept.setdefault("arrays", arrays)
        if self._structure.num_leaves != len(kept["arrays"]):
            raise LoopError("the state that was loaded is of an optimiser with other settings")
        return tree_unflatten(kept["arrays"], self._structure)


def _checked_names(module: nn.Module, blocks: Parameters) -> dict[nn.Parameter, str]:
    """The parameters of blocks with their names in the module.

    Raises:
        ParameterError: there are none, or one that is frozen or on another device than the first.
    """
    names = {parameter: name for name, parameter in module.named_parameters()}
    found = {parameter: names[parameter] for block in blocks for parameter in block.values()}
    if not found:
        raise ParameterError(f"the module has no parameters to train: {module!r}")
    first = next(iter(found))
    for parameter, name in found.items():
        if not parameter.requires_grad:
            raise ParameterError(f"parameter {name!r} is frozen, and a step moves all of a module's")
        if parameter.device != first.device:
            raise ParameterError(f"parameter {name!r} is on {parameter.device}, and {names[first]!r} on {first.device}")
    return found
