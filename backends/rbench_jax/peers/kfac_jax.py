"""The K-FAC of kfac-jax."""

from collections.abc import Callable, Hashable, Mapping
from functools import cache
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from rbench.methods import Batch, Choice, Dimension, LogUniform, Problem, Scalars, State, Step
from rbench.methods.peer import Peer
from rbench.modules import Params

_ESTIMATION_MODES = {
    "exact": "ggn_exact",
    "curvature_prop": "ggn_curvature_prop",
    "mc": "fisher_gradients",
    "empirical": "fisher_empirical",
}


class KFACJax(Peer):
    """The optimiser of kfac-jax (Botev and Martens 2022), with given rate, momentum and damping and without burn-in.

    Attributes:
        momentum: μ.
        factors: its `estimation_mode`: `exact` for `ggn_exact`; `curvature_prop` for `ggn_curvature_prop`, its default
            (Martens, Sutskever and Swersky 2012); `mc` for `fisher_gradients`; `empirical` for `fisher_empirical`,
            which is that of `kfac` over the size of the batch.
        rank: its `num_estimator_samples`, per datum, for `mc` and `curvature_prop`.
        damping: λ.
        damping_split: `pi`; or `eigen`, its `use_exact_inverses`.
        decay: its `curvature_ema`, of the running averages of the factors.
        refresh: its `inverse_update_period`, steps between two inversions of the factors.
        factor_refresh: its `curvature_update_period`, steps between two computations of the factors; at most `refresh`.
        kl_clip: its `norm_constraint`: c, by which the direction Δ is scaled so that η² gᵀΔ ≤ c; None for no clip.
    """

    name: ClassVar[str] = "kfac-jax"
    summary: ClassVar[str] = "K-FAC as kfac-jax has it"
    always: ClassVar[tuple[str, ...]] = ("lr", "damping")
    backends: ClassVar[tuple[str, ...]] = ("jax",)
    libraries: ClassVar[tuple[str, ...]] = ("kfac-jax",)
    package: ClassVar[str] = "kfac_jax"
    search_space: ClassVar[Mapping[str, Dimension]] = {
        "lr": LogUniform(1e-3, 1),
        "damping": LogUniform(1e-4, 10),
        "kl_clip": Choice(None, 0.001, 0.01),
    }
    lr: float = Field(0.01, gt=0, allow_inf_nan=False)
    momentum: float = Field(0.9, ge=0, lt=1)
    factors: Literal["exact", "curvature_prop", "mc", "empirical"] = "curvature_prop"
    rank: int = Field(1, ge=1)
    damping: float = Field(0.1, gt=0)
    damping_split: Literal["pi", "eigen"] = "pi"
    decay: float = Field(0.95, ge=0, lt=1)
    refresh: int = Field(5, ge=1)
    factor_refresh: int = Field(1, ge=1)
    kl_clip: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _inverts_no_factors_twice(self) -> "KFACJax":
        if self.factor_refresh > self.refresh:
            raise ValueError(
                f"factor_refresh={self.factor_refresh} is more than refresh={self.refresh}, so that the same factors "
                "would be inverted again; lower it"
            )
        return self

    @property
    def samples(self) -> int:
        return self.rank if self.factors in ("mc", "curvature_prop") else 0

    def samples_in(self, phase: Hashable) -> int:
        return self.samples if phase in ("factors", "both") else 0

    def phase(self, step: int) -> Hashable:
        """What is computed anew: `factors`, `inverses`, `both` or nothing."""
        factors = step % self.factor_refresh == 0
        inverses = step % self.refresh == 0
        return "both" if factors and inverses else "factors" if factors else "inverses" if inverses else ""

    def init(self, problem: Problem, params: Params) -> State:
        """Its state depends on the shapes of a batch, which `start` has."""
        return ()

    def start(self, problem: Problem, params: Params, batch: Batch) -> State:
        return _starter(self, problem)(params, batch)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        import jax

        optimizer = _Optimizer(self, problem)
        structure = jax.tree.structure(jax.eval_shape(optimizer.start, params, batch))
        params, new, loss = optimizer.step(params, jax.tree.unflatten(structure, state), batch, scalars["lr"], phase)
        return Step(params, tuple(jax.tree.leaves(new)), loss)


@cache
def _starter(method: KFACJax, problem: Problem) -> Callable[..., Any]:
    """The initial state's arrays as a function of parameters and a batch, compiled once."""
    import jax

    def leaves(params: Params, batch: Batch) -> tuple[Any, ...]:
        return tuple(jax.tree.leaves(_Optimizer(method, problem).start(params, batch)))

    return problem.backend.compile(leaves)


class _Optimizer:
    """kfac-jax's optimiser of a problem, within a function that JAX compiles as a whole."""

    def __init__(self, method: KFACJax, problem: Problem) -> None:
        import jax
        import kfac_jax

        from rbench_jax.function import to_function

        register = {
            "cross_entropy": kfac_jax.register_softmax_cross_entropy_loss,
            "squared_error": lambda z, y: kfac_jax.register_squared_error_loss(z, y, weight=0.5),
            "binary_cross_entropy": kfac_jax.register_sigmoid_cross_entropy_loss,
        }[problem.loss.name]

        def value(params: Params, batch: tuple[Any, Any]) -> Any:
            x, y = batch
            z = self.function(params, x)
            register(z, y)
            return problem.backend.xp.mean(problem.loss.values(problem.backend, z, y))

        self.method = method
        self.function = to_function(problem.net)
        self.theirs = kfac_jax.Optimizer(
            jax.value_and_grad(value),
            l2_reg=0.0,
            estimation_mode=_ESTIMATION_MODES[method.factors],
            num_estimator_samples=method.rank,
            use_exact_inverses=method.damping_split == "eigen",
            curvature_ema=method.decay,
            inverse_update_period=method.refresh,
            curvature_update_period=method.factor_refresh,
            norm_constraint=method.kl_clip,
            num_burnin_steps=0,
            debug=True,  # it compiles nothing itself
        )

    def start(self, params: Params, batch: Batch) -> Any:
        """Its state before the first step."""
        return self.theirs.init(self.function.params(params), _key(batch), (batch.x, batch.y))

    def step(self, params: Params, state: Any, batch: Batch, lr: Any, phase: Hashable) -> tuple[Params, Any, Any]:
        """The algebra's new parameters, the new state, and the loss before the step."""
        # It asks its counter what is due, which while compiling is not a number: it is told what the phase says.
        counter = state.step_counter
        state.step_counter = 0 if phase in ("inverses", "both") else 1
        new, state, found = self.theirs.step(
            self.function.params(params),
            state,
            _key(batch),
            batch=(batch.x, batch.y),
            learning_rate=lr,
            momentum=self.method.momentum,
            damping=self.method.damping,
            global_step_int=0 if phase in ("factors", "both") else 1,
        )
        state.step_counter = counter + 1
        return self.function.blocks(new), state, found["loss"]


def _key(batch: Batch) -> Any:
    """A random key, from the numbers that the run drew for samples."""
    import jax

    if batch.noise is None:
        return jax.random.key(0)
    return jax.random.key((abs(batch.noise.reshape(-1)[0]) * 2**24).astype("uint32"))
