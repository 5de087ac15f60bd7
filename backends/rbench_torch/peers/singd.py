"""SINGD."""

import copy
from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

from pydantic import Field

from rbench.errors import SpecError
from rbench.methods import Batch, Choice, Dimension, LogUniform, Problem, Scalars, State, Step
from rbench.methods.kronecker import Sharing
from rbench.methods.peer import Peer
from rbench.modules import Params
from rbench.names import shown

Structure: TypeAlias = Literal[
    "dense", "diagonal", "block30diagonal", "hierarchical15_15", "triltoeplitz", "triutoeplitz"
]
DOUBLE = {"dense", "diagonal", "block30diagonal"}
"""The structures that SINGD has in float64."""


class Kept(NamedTuple):
    """What is kept between steps.

    Attributes:
        module: the network; every step writes its parameters.
        optimizer: SINGD on that module; every step writes what it keeps.
        matrices: K, C and their momenta, of every layer by its name in the module.
        velocity: the momentum of every parameter; None before the first step, and without momentum.
    """

    module: Any
    optimizer: Any
    matrices: Mapping[str, Mapping[str, Any]]
    velocity: list[Any] | None


class SINGD(Peer):
    """Structured inverse-free natural gradient descent (Lin et al. 2023, arXiv 2312.05705), by its authors.

    Factors K Kᵀ and C Cᵀ of the inverse Kronecker factors are learned, with the empirical Fisher metric, instead of
    inverted.

    Attributes:
        momentum: α₂, of the parameters.
        damping: λ.
        riemannian_momentum: α₁, of K and C.
        weight_decay: γ, added to the direction before momentum.
        refresh: its `T`, steps between two updates of K and C.
        lr_cov: β₁, the rate of K and C.
        normalize_lr_cov: whether that rate is bounded by the size of the update.
        structures: of K, for the inputs, and of C, for the gradients.
        sharing: its `kfac_approx`.
        kfac_like: whether the update of K and C is that of inverse-free K-FAC, which takes no `riemannian_momentum`.
    """

    name: ClassVar[str] = "singd"
    summary: ClassVar[str] = "structured inverse-free natural gradient descent, by its authors"
    always: ClassVar[tuple[str, ...]] = ("lr", "damping")
    backends: ClassVar[tuple[str, ...]] = ("torch",)
    libraries: ClassVar[tuple[str, ...]] = ("singd",)
    package: ClassVar[str] = "singd"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-4, 1),
        "damping": LogUniform(1e-5, 1),
        "lr_cov": LogUniform(1e-3, 0.3),
        "kfac_like": Choice(False, True),
    }
    lr: float = Field(0.001, gt=0, allow_inf_nan=False)
    momentum: float = Field(0.9, ge=0, lt=1)
    damping: float = Field(0.001, ge=0)
    riemannian_momentum: float = Field(0.5, ge=0, lt=1)
    weight_decay: float = Field(0.0, ge=0)
    refresh: int = Field(10, ge=1)
    lr_cov: float = Field(0.01, gt=0)
    normalize_lr_cov: bool = False
    structures: tuple[Structure, Structure] = ("dense", "dense")
    sharing: Sharing = "expand"
    kfac_like: bool = False

    def phase(self, step: int) -> Hashable:
        return step % self.refresh == 0

    def init(self, problem: Problem, params: Params) -> State:
        from singd.optim.optimizer import SINGD as Optimizer

        from rbench_torch.differentiation import differentiating
        from rbench_torch.networks.convert import to_module

        if problem.backend.dtype == "float64" and not set(self.structures) <= DOUBLE:
            raise SpecError(
                f"singd has structures={shown(list(self.structures))} in float32 only; give dtype float32, or "
                f"structures among {', '.join(sorted(DOUBLE))}"
            )
        with differentiating():
            module = to_module(problem.net, params)
            optimizer = Optimizer(
                module,
                lr=self.lr,
                momentum=self.momentum,
                damping=self.damping,
                alpha1=0.0 if self.kfac_like else self.riemannian_momentum,
                weight_decay=self.weight_decay,
                T=self.refresh,
                lr_cov=self.lr_cov,
                structures=self.structures,
                kfac_approx=self.sharing,
                kfac_like=self.kfac_like,
                normalize_lr_cov=self.normalize_lr_cov,
            )
        return Kept(module, optimizer, _matrices(optimizer), None)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        from rbench_torch.differentiation import differentiating, recordable
        from rbench_torch.networks.convert import load_params, module_params
        from rbench_torch.peers.criterion import criterion

        module, optimizer = state.module, state.optimizer
        with differentiating():
            load_params(module, params)
            self._prepare(state, bool(phase))
            for group in optimizer.param_groups:
                group["lr"] = scalars["lr"]
            x, y, *_ = recordable(batch)
            optimizer.zero_grad()
            z = module(x)
            theirs, scale = criterion(problem.loss, z.shape[1])
            loss = scale * theirs(z, y)
            loss.backward()
            optimizer.step()
        params = tuple({name: value.clone() for name, value in block.items()} for block in module_params(module))
        velocity = (
            [optimizer.state[weight]["momentum_buffer"] for weight in module.parameters()] if self.momentum else None
        )
        return Step(params, Kept(module, optimizer, _matrices(optimizer), velocity), loss.detach())

    def _prepare(self, state: Kept, due: bool) -> None:
        """Give the optimiser what is kept, copied where it writes into it, and whether its matrices are due."""
        optimizer = state.optimizer
        for name, matrices in state.matrices.items():
            setattr(optimizer, name, copy.deepcopy(matrices) if due else dict(matrices))
        if state.velocity is not None:
            for weight, velocity in zip(state.module.parameters(), state.velocity, strict=True):
                optimizer.state[weight]["momentum_buffer"] = velocity.clone()
        else:
            optimizer.state.clear()
        # It counts steps itself, and has scales of the gradient for a step and the one before.
        count = self.refresh if due else self.refresh + 1
        optimizer.steps = count - 1
        optimizer.set_current_grad_scale(1.0)
        optimizer.steps = count


def _matrices(optimizer: Any) -> dict[str, dict[str, Any]]:
    return {name: dict(getattr(optimizer, name)) for name in ("Ks", "Cs", "m_Ks", "m_Cs")}
