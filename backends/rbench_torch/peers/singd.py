"""SINGD."""

from collections.abc import Hashable, Mapping
from typing import ClassVar, Literal, TypeAlias

from pydantic import Field

from rbench.methods import Batch, Choice, Dimension, LogUniform, Problem, Scalars, State, Step
from rbench.methods.kronecker import Sharing
from rbench.methods.peer import Peer
from rbench.modules import Params

Structure: TypeAlias = Literal[
    "dense", "diagonal", "block30diagonal", "hierarchical15_15", "triltoeplitz", "triutoeplitz"
]


class SINGD(Peer):
    """Structured inverse-free natural gradient descent (Lin et al. 2023, arXiv 2312.05705), by its authors.

    Factors K Kᵀ and C Cᵀ of the inverse Kronecker factors are learned, with the empirical Fisher metric, instead of
    inverted. The optimiser and its module are the state, and a step changes them.

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

        from rbench_torch.convert import to_module
        from rbench_torch.peers.differentiation import differentiating

        with differentiating():
            module = to_module(problem.net, params)
            return module, Optimizer(
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

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        from rbench_torch.convert import load_params, module_params
        from rbench_torch.peers.differentiation import criterion, differentiating, recordable

        module, optimizer = state
        load_params(module, params)
        for group in optimizer.param_groups:
            group["lr"] = scalars["lr"]
        # It counts steps itself. The count is set, so that a step is of the variant asked for, in whatever order.
        due = self.refresh if phase else self.refresh + 1
        optimizer.steps = due - 1
        optimizer.set_current_grad_scale(1.0)
        optimizer.steps = due
        with differentiating():
            x, y = recordable(batch)
            optimizer.zero_grad()
            z = module(x)
            theirs, scale = criterion(problem.loss, z.shape[1])
            loss = scale * theirs(z, y)
            loss.backward()
            optimizer.step()
        params = tuple({name: value.clone() for name, value in block.items()} for block in module_params(module))
        return Step(params, state, loss.detach())
