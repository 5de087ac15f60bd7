"""Optimisers of optax as methods."""

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from inspect import signature
from typing import Any, ClassVar

from pydantic import Field

from rbench.backend import Array
from rbench.methods import Batch, Problem, Scalars, State, Step
from rbench.methods.library import LibraryOptimizer, Shapes
from rbench.modules import Params
from rbench.probe import package_problem


class Optax(LibraryOptimizer):
    """A function of `optax` or `optax.contrib` that returns a gradient transformation.

    One without a rate, such as `scale_by_lion`, is followed by `optax.scale_by_learning_rate`. `muon` is told that
    weights are matrices with a row per output, which it would take for columns. Schedule-Free ones are evaluated at
    their averages.
    """

    name: ClassVar[str] = "optax"
    summary: ClassVar[str] = "any optimiser of optax, such as optax[name=lion,lr=0.001,weight_decay=0.01]"
    backends: ClassVar[tuple[str, ...]] = ("jax",)
    libraries: ClassVar[tuple[str, ...]] = ("optax",)
    optimizer: str = Field("adamw", alias="name")

    @classmethod
    def unavailable(cls) -> str | None:
        return package_problem("optax", "pip install optax")

    @classmethod
    def known(cls) -> Mapping[str, Callable[..., Any]]:
        import optax

        public = {
            name: item for module in (optax.contrib, optax) for name, item in vars(module).items() if name[0] != "_"
        }
        return {name: item for name, item in sorted(public.items()) if _is_optimizer(item)}

    @property
    def rate_name(self) -> str:
        return "max_learning_rate" if self.optimizer == "polyak_sgd" else "learning_rate"

    def transformation(self, rate: Array | float) -> Any:
        """The gradient transformation at a rate, which may be traced."""
        import optax

        taken = signature(self.make).parameters
        settings = {name: given for name, given in {_SIDES: _sides, self.rate_name: rate}.items() if name in taken}
        made = self.make(**settings, **self.arguments)
        if self.rate_name not in taken:
            made = optax.chain(made, optax.scale_by_learning_rate(rate))
        return optax.with_extra_args_support(made)

    def init(self, problem: Problem, params: Params) -> State:
        return self.transformation(self.lr).init(params)

    def step(
        self, problem: Problem, params: Params, state: State, batch: Batch, scalars: Scalars, phase: Hashable
    ) -> Step:
        import jax

        value = partial(problem.value, batch=batch)
        differentiated = problem.gradient if self.differentiation == "ours" else jax.value_and_grad(problem.value)
        loss, gradient = differentiated(params, batch)
        params, state = self._moved(value, scalars["lr"], params, state, loss, gradient)
        return Step(params, state, loss)

    def evaluated(self, problem: Problem, params: Params, state: State) -> Params:
        from optax.contrib import ScheduleFreeState, schedule_free_eval_params

        return schedule_free_eval_params(state, params) if isinstance(state, ScheduleFreeState) else params

    def try_out(self, shapes: Shapes) -> None:
        import jax

        def value(arrays: Any) -> Any:
            return sum(jax.numpy.sum(array) for array in arrays)

        def steps(rate: Any, arrays: Any) -> Any:
            state = self.transformation(rate).init(arrays)
            return self._moved(value, rate, arrays, state, value(arrays), arrays)

        jax.eval_shape(steps, self.lr, [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes])

    def _moved(
        self, value: Callable[..., Any], rate: Any, params: Any, state: State, loss: Array, gradient: Any
    ) -> tuple[Any, State]:
        """The new parameters and state; what line searches and Polyak's rates ask for is given too."""
        import optax

        extra = {"value": loss, "grad": gradient, "value_fn": value}
        updates, state = self.transformation(rate).update(gradient, state, params, **extra)
        return optax.apply_updates(params, updates), state


_SIDES = "muon_weight_dimension_numbers"


def _sides(params: Any) -> Any:
    """Which axes of the arrays are inputs, and which outputs; None for arrays that are no matrices."""
    import jax
    from optax.contrib import MuonDimensionNumbers

    return jax.tree.map(lambda w: MuonDimensionNumbers(tuple(range(1, w.ndim)), 0) if w.ndim > 1 else None, params)


def _is_optimizer(item: Any) -> bool:
    """Whether something of optax is a function that says that it returns a gradient transformation, or takes a rate."""
    if not callable(item) or isinstance(item, type):
        return False
    try:
        found = signature(item)
    except (TypeError, ValueError):
        return False
    named = getattr(found.return_annotation, "__name__", str(found.return_annotation))
    return named.startswith("GradientTransformation") or (
        found.return_annotation is found.empty and "learning_rate" in found.parameters
    )
