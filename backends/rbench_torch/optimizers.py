"""Optimisers of PyTorch, and of the package `pytorch_optimizer`, as methods."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from rbench.errors import SpecError
from rbench.methods import Batch, Problem, Scalars, State, Step
from rbench.methods.library import LibraryOptimizer, Shapes
from rbench.modules import Params
from rbench.probe import package_problem

if TYPE_CHECKING:
    from rbench_torch.optimizer_state import OptimizerState


class TorchOptimizer(LibraryOptimizer):
    """A class of `torch.optim` or, for a name that this lacks, of `pytorch_optimizer` where that is installed.

    A name that both have is that of `torch.optim`; `pytorch_optimizer.Muon` is the other's. `Muon`, which takes
    matrices only, moves weights as matrices, a row per output; biases and gains go by `AdamW` with the same rate and
    weight decay. The kinds of Muon in `pytorch_optimizer` have settings of their own for these. Schedule-Free ones are
    evaluated at their averages.

    The state is the optimisers with their tensors, which a step copies, for it leaves its arguments as they are.
    """

    name: ClassVar[str] = "torch.optim"
    summary: ClassVar[str] = "any optimiser of PyTorch, such as torch.optim[name=AdamW,lr=0.001,weight_decay=0.01]"
    backends: ClassVar[tuple[str, ...]] = ("torch",)
    libraries: ClassVar[tuple[str, ...]] = ("pytorch_optimizer",)
    optimizer: str = Field("AdamW", alias="name")

    @classmethod
    def unavailable(cls) -> str | None:
        return package_problem("torch", "pip install torch")

    @classmethod
    def libraries_of(cls, settings: Mapping[str, Any]) -> tuple[str, ...]:
        if cls.unavailable():
            return cls.libraries
        import torch

        name = settings.get("name", cls.model_fields["optimizer"].default)
        return () if hasattr(torch.optim, str(name)) else cls.libraries

    @classmethod
    def known(cls) -> Mapping[str, Callable[..., Any]]:
        import torch

        found = _classes(torch.optim)
        if package_problem("pytorch_optimizer", "") is None:
            import pytorch_optimizer

            others = _classes(pytorch_optimizer)
            found = others | found | {f"pytorch_optimizer.{name}": others[name] for name in others.keys() & found}
        return dict(sorted(found.items()))

    def init(self, problem: Problem, params: Params) -> State:
        return self._begun(params)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        from rbench_torch.differentiation import by_autograd

        differentiated = problem.gradient if self.differentiation == "ours" else partial(by_autograd, problem)
        state = state.copied(params)
        loss = state.step(scalars["lr"] / self.lr, lambda params: differentiated(params, batch))
        return Step(state.params, state, loss)

    def evaluated(self, problem: Problem, params: Params, state: State) -> Params:
        averaging = [index for index, optimizer in enumerate(state.optimizers) if hasattr(optimizer, "eval")]
        if averaging:
            state = state.copied(params)
            for index in averaging:
                state.optimizers[index].eval()
            params = state.params
        return params

    def try_out(self, shapes: Shapes) -> None:
        import torch

        with torch.no_grad():
            state = self._begun(tuple({"weight": torch.ones(shape)} for shape in shapes))
            for _ in range(2):
                state = state.copied(state.params)
                for tensor in state.tensors:
                    tensor.requires_grad_()  # what differentiates the gradient again finds that it cannot
                state.step(1.0, lambda params: (torch.ones(()), params))

    def _begun(self, params: Params) -> "OptimizerState":
        """The optimisers before their first step."""
        import torch

        from rbench_torch.optimizer_state import OptimizerState, leaves

        make, settings, tensors = self.make, {"lr": self.lr, **self.arguments}, leaves(params)
        if "lr" not in signature(make).parameters:
            raise SpecError(f"{self.optimizer} has no rate called lr, so a step cannot set it")
        is_muon = make is getattr(torch.optim, "Muon", None)
        takes_groups = make.__module__.startswith("pytorch_optimizer.optimizer.muon.")
        if not (is_muon or takes_groups):
            return OptimizerState(params, tensors, [make(tensors, **settings)])
        tensors = [tensor.reshape(len(tensor), -1) if tensor.ndim > 1 else tensor for tensor in tensors]
        matrices = [tensor for tensor in tensors if tensor.ndim > 1]
        others = [tensor for tensor in tensors if tensor.ndim == 1]
        if takes_groups:
            groups = [{"params": matrices, "use_muon": True}, {"params": others, "use_muon": False}]
            return OptimizerState(params, tensors, [make([group for group in groups if group["params"]], **settings)])
        optimizers = [make(matrices, **settings)]
        if others:
            decay = settings.get("weight_decay", self.own["weight_decay"])
            optimizers.append(torch.optim.AdamW(others, lr=self.lr, weight_decay=decay))
        return OptimizerState(params, tensors, optimizers)


def _classes(module: Any) -> dict[str, Any]:
    """The optimisers of a module."""
    import torch

    base = torch.optim.Optimizer
    return {
        name: c for name, c in vars(module).items() if isinstance(c, type) and issubclass(c, base) and c is not base
    }
