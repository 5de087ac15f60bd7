"""`riemannian` and `kfac` as pairs of `init` and `update` in the form of optax, for a training loop of a user's own."""

from collections.abc import Callable
from math import lcm
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from rbench import methods
from rbench.backend import Array, Backend
from rbench.checks import check_data, check_params, outputs
from rbench.errors import LoopError
from rbench.losses import get_loss
from rbench.methods import Batch, Problem, map_blocks
from rbench.methods.curved import Curved
from rbench.methods.own_loop import drawn_noise, keeps_rows, own_loop_method
from rbench.modules import Module, Params
from rbench.modules.space import space_of
from rbench.random import check_seed

Rate: TypeAlias = float | Callable[[Array], Array]
"""η, or a function of the steps made, such as a schedule of optax."""


class State(NamedTuple):
    """What an optimiser keeps between steps: how many there were, and the method's state."""

    step: Array
    kept: Any


class GradientTransformation(NamedTuple):
    """The pair, where optax is not installed; else it is `optax.GradientTransformationExtraArgs`, with the same fields.

    Attributes:
        init: `init(params)` returns the state before the first step.
        update: `update(gradients, state, params, *, x, y)` returns what to add to the parameters, and the new state,
            for the inputs and targets of a batch.
    """

    init: Callable[..., State]
    update: Callable[..., tuple[Params, State]]


def riemannian(
    net: Module, *, loss: str, backend: Backend, lr: Rate = 0.01, seed: int = 0, example: Any = None, **settings: Any
) -> Any:
    """Riemannian gradient descent, `riemannian` of `rbench list methods`, on gradients that your loop computes.

    The steps are those of a run with the same settings, batches and seed. Where a matrix cannot be factored they are
    NaN, as compiled code cannot raise an error. In compiled code samples come from the host by a callback.

    Args:
        net: the network.
        loss: name of the loss, whose mean over the batch your loop differentiates; the metric `ggn` is its Hessian.
        backend: of JAX, in the parameters' dtype.
        lr: the rate, or a function of the steps made.
        seed: seed of the metric's samples.
        example: a batch (x, y), for a metric that is kept between steps, with `refresh`: all batches have its shape.
        settings: of the method, such as `output_metric="ggn_mc"`, `mass=0.1`, `momentum=0.9`, `weight_decay=0.0`,
            `refresh=1`, `kl_clip=None`; but not `schedule`, `fit` and `line_search`.

    Returns:
        The pair of `init` and `update`, see `GradientTransformation`; optax's own type where optax is installed.

    Raises:
        SpecError, MetricError, MassError: no such setting, metric or loss, or it does not fit.
        ParameterError: a seed that is no integer of at least 0.
        LoopError: the metric is kept between steps, and there is no example.
    """
    return _pair(methods.Riemannian, net, loss, backend, lr, seed, example, settings)


def kfac(net: Module, *, loss: str, backend: Backend, lr: Rate = 0.01, seed: int = 0, **settings: Any) -> Any:
    """K-FAC, `kfac` of `rbench list methods`, on gradients that your loop computes.

    The arguments are those of `riemannian`; settings are those of the method, such as `damping=0.1`, `factors="mc"`,
    `decay=0.95`, `refresh=1`, `momentum=0.9`, `kl_clip=None`.
    """
    return _pair(methods.KFAC, net, loss, backend, lr, seed, None, settings)


def _pair(
    kind: type[Curved],
    net: Module,
    loss: str,
    backend: Backend,
    lr: Rate,
    seed: int,
    example: Any,
    settings: dict[str, Any],
) -> Any:
    check_seed(seed)
    problem = Problem(backend, net, get_loss(loss))
    method = own_loop_method(kind, problem, settings if callable(lr) else {"lr": lr, **settings})
    if keeps_rows(method) and example is None:
        raise LoopError(f"refresh={method.refresh} keeps the metric of a batch; give one as `example`, (x, y)")

    def init(params: Params) -> State:
        check_params(backend, net, params)
        with backend.inference():
            kept = method.init(problem, params)
            if example is not None:
                wires, targets, _ = check_data(backend, net, params, problem.loss, *example)
                kept = method.start(problem, params, Batch(wires, targets))
        return State(jnp.zeros((), jnp.int32), kept)

    def update(gradients: Params, state: State, params: Params, *, x: Any, y: Any, **_: Any) -> tuple[Params, State]:
        rate = lr(state.step) if callable(lr) else lr
        with backend.inference():
            new, kept = _step(problem, method, seed, params, state, Batch(x, y, None, gradients), rate)
            return map_blocks(jnp.subtract, new, params), State(state.step + 1, kept)

    try:
        from optax import GradientTransformationExtraArgs
    except ImportError:
        return GradientTransformation(init, update)
    return GradientTransformationExtraArgs(init, update)


def _step(
    problem: Problem, method: Curved, seed: int, params: Params, state: State, batch: Batch, rate: Any
) -> tuple[Params, Any]:
    """New parameters and state. The step's variant and its numbers of the host depend on how many steps were made."""
    size, d = len(batch.y), outputs(problem.net, space_of(batch.x))
    dtype = np.dtype(problem.backend.dtype)
    period = lcm(method.refresh, getattr(method, "factor_refresh", 1))
    phases = [method.phase(step) for step in range(period)]
    variants = list(dict.fromkeys(phases))

    def of(first: int) -> Callable[[], tuple[Params, Any]]:
        def numbers(step: Any) -> dict[str, Any]:
            found = method.scalars(int(step), 1) | {"noise": drawn_noise(problem, method, seed, int(step), size, d)}
            return {key: np.asarray(found[key], dtype) for key in ("decay", "noise") if found.get(key) is not None}

        def taken() -> tuple[Params, Any]:
            found = numbers(first)
            if found:
                shapes = {key: jax.ShapeDtypeStruct(value.shape, dtype) for key, value in found.items()}
                found = jax.pure_callback(numbers, shapes, state.step)
            noise = found.pop("noise", None)
            scalars = {"lr": rate, **found}
            step = method.step(problem, params, state.kept, batch._replace(noise=noise), scalars, phases[first])
            return step.params, step.state

        return taken

    branches = [of(phases.index(variant)) for variant in variants]
    which = jnp.asarray([variants.index(phase) for phase in phases])[state.step % period]
    found: tuple[Params, Any] = jax.lax.switch(which, branches)
    return found
