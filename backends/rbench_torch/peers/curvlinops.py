"""The K-FAC of curvlinops."""

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from rbench.checks import outputs
from rbench.errors import DivergedError, SpecError
from rbench.methods import Batch, Choice, Descent, Dimension, LogUniform, Problem, Scalars, State, Step
from rbench.methods.kronecker import Sharing
from rbench.methods.peer import Peer
from rbench.modules import Params
from rbench.modules.space import space_of

_FISHER_TYPES = {"exact": "type-2", "mc": "mc", "empirical": "empirical", "identity": "forward-only"}


class CurvlinopsKFAC(Peer, Descent):
    """Momentum along curvlinops' inverse K-FAC times the gradient.

    curvlinops has the matrix, not an optimiser: the step is ours. Its factors are those of one batch, with no running
    averages, which `kfac[decay=0]` has as well.

    Attributes:
        factors: its `fisher_type`: `exact` for `type-2`; `mc`; `empirical`; or `identity` for `forward-only`, which
            takes the identity for the covariance of the gradients (FOOF, Benzing 2022).
        rank: its `mc_samples`, per datum, for `mc`.
        damping: λ.
        damping_split: `pi`, its `use_heuristic_damping`; `eigen`, its `use_exact_damping`; or `both`, λ added to either
            factor.
        refresh: steps between two computations of the factors and their inverses.
        sharing: its `kfac_approx`.
        separate: its `separate_weight_and_bias`: whether a bias has a block of its own, of the covariance of the
            gradients alone.
    """

    name: ClassVar[str] = "curvlinops-kfac"
    summary: ClassVar[str] = "K-FAC as curvlinops computes it, of one batch, refreshed at intervals"
    always: ClassVar[tuple[str, ...]] = ("lr", "damping")
    backends: ClassVar[tuple[str, ...]] = ("torch",)
    libraries: ClassVar[tuple[str, ...]] = ("curvlinops-for-pytorch",)
    package: ClassVar[str] = "curvlinops"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-3, 1),
        "damping": LogUniform(1e-4, 10),
        "separate": Choice(False, True),
    }
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    factors: Literal["exact", "mc", "empirical", "identity"] = "mc"
    rank: int = Field(1, ge=1)
    damping: float = Field(0.1, gt=0)
    damping_split: Literal["pi", "eigen", "both"] = "pi"
    refresh: int = Field(1, ge=1)
    sharing: Sharing = "expand"
    separate: bool = False

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if (self.factors, problem.loss.name) == ("exact", "binary_cross_entropy"):
            raise SpecError(
                f"method {self.name!r}: curvlinops has the exact factors of loss 'binary_cross_entropy' for targets 0 "
                "and 1 only; give factors=mc"
            )

    @property
    def samples(self) -> int:
        return self.rank if self.factors == "mc" else 0

    def samples_in(self, phase: Hashable) -> int:
        return self.samples if phase else 0

    def phase(self, step: int) -> Hashable:
        return step % self.refresh == 0

    def init(self, problem: Problem, params: Params) -> State:
        from rbench_torch.differentiation import differentiating
        from rbench_torch.networks.convert import to_module

        with differentiating():
            return super().init(problem, params), to_module(problem.net, params), None

    def start(self, problem: Problem, params: Params, batch: Batch) -> State:
        velocity, module, _ = self.init(problem, params)
        return velocity, module, None if self.refresh == 1 else self.inverse(problem, module, batch)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        import torch

        from rbench_torch.differentiation import differentiating, recordable
        from rbench_torch.networks.convert import load_params
        from rbench_torch.peers.criterion import criterion

        velocity, module, inverse = state
        load_params(module, params)
        with differentiating():
            x, y, *_ = recordable(batch)
            z = module(x)
            theirs, scale = criterion(problem.loss, z.shape[1])
            loss = scale * theirs(z, y)
            weights = list(module.parameters())
            gradient = torch.autograd.grad(loss, weights)
            if phase:
                inverse = self.inverse(problem, module, batch)
            try:
                operator, factor = inverse
                parts = iter(operator @ list(gradient))
            except torch.linalg.LinAlgError as error:
                raise DivergedError(f"curvlinops could not factor its matrices ({error}); raise damping") from error
        direction = tuple(
            {name: next(parts).detach() / factor for name in layer.shapes} for layer in problem.net.layers
        )
        params, velocity = self.descend(problem.backend, params, velocity, direction, scalars["lr"])
        return Step(params, (velocity, module, inverse), loss.detach())

    def inverse(self, problem: Problem, module: Any, batch: Batch) -> Any:
        """The operator (F + λ/c)⁻¹ of curvlinops' K-FAC F, and c.

        Ours is c F, as the losses differ by a factor, so that our inverse (c F + λ)⁻¹ is the operator divided by c.
        """
        from curvlinops import KFACInverseLinearOperator, KFACLinearOperator

        from rbench_torch.differentiation import differentiating, recordable
        from rbench_torch.peers.criterion import criterion

        with differentiating():
            x, y, *_ = recordable(batch)
            theirs, scale = criterion(problem.loss, outputs(problem.net, space_of(batch.x)))
            operator = KFACLinearOperator(
                module,
                theirs,
                list(module.parameters()),
                [(x, y)],
                check_deterministic=False,
                seed=_seed(batch),
                fisher_type=_FISHER_TYPES[self.factors],
                mc_samples=self.samples or 1,
                kfac_approx=self.sharing,
                num_per_example_loss_terms=1,
                separate_weight_and_bias=self.separate,
                num_data=len(x),
            )
            operator.compute_kronecker_factors()
            c = self._factor(problem, scale)
            inverse = KFACInverseLinearOperator(
                operator,
                damping=(self.damping, self.damping / c) if self.damping_split == "both" else self.damping / c,
                use_heuristic_damping=self.damping_split == "pi",
                use_exact_damping=self.damping_split == "eigen",
            )
        return inverse, c

    def _factor(self, problem: Problem, scale: float) -> float:
        """c, given by what curvlinops' loss is multiplied to be ours.

        Its empirical Fisher metric of a squared error is that of a normal distribution with variance ½.
        """
        if self.factors == "identity":
            return 1.0
        return scale / 2 if (self.factors, problem.loss.name) == ("empirical", "squared_error") else scale


def _seed(batch: Batch) -> int:
    """A seed for the sampled labels, from the numbers that the run drew for them."""
    return 0 if batch.noise is None else int(abs(float(batch.noise.reshape(-1)[0])) * 2**31) % 2**31
