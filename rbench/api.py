"""The mathematics as three functions: the gradient, the Riemannian gradient, and the layer metrics themselves."""

from typing import Any

import numpy as np

from rbench.backend import Backend
from rbench.checks import check_backend, check_data
from rbench.errors import CapacitanceError, MetricError, NotFiniteError
from rbench.losses import get_loss
from rbench.metrics import (
    TREATMENTS,
    Batch,
    Mass,
    Problem,
    Treatment,
    get_output_metric,
    layer_masses,
    pull_metric,
)
from rbench.metrics.mass import MassLike
from rbench.modules import LayerPullback, Module, Params
from rbench.names import shown
from rbench.random import check_seed, generator
from rbench.solvers import Coupling, NetworkSolver, check_coupling, check_health, check_solver, gathered
from rbench.solvers.dense import layer_metric


def loss_gradient(net: Module, params: Params, x: Any, y: Any, *, loss: str, backend: Backend | str) -> Params:
    """Gradient of the mean loss E = (1/B) Σ_b ℓ(z_b, y_b).

    Args:
        net: a network with one output of shape (d,).
        params: one block per layer, native arrays in the backend's dtype.
        x: inputs (batch, *shape), native or whatever NumPy reads as numbers; a tuple for several wires.
        y: labels (batch,) of integers for `cross_entropy`, else real numbers (batch, d).
        loss: name of a loss, such as `cross_entropy` or `squared_error` (½‖z − y‖²); `rbench list losses` shows them.
        backend: the backend to compute on; or its name, for that backend in the dtype of `params`.

    Returns:
        The gradient in the structure of `params`.

    Raises:
        ShapeError: shapes of modules, parameters or data do not fit.
        ParameterError: no network; the wrong number of blocks, or a block with the wrong arrays.
        DtypeError: parameters in another dtype than the backend's, or not its arrays; targets of the wrong kind; a
            masked array, or anything but a dense array of real numbers.
        RangeError: a number that is not finite in the backend's dtype, or a target that the loss does not take.
        MetricError: no such loss.
        BackendError: no such backend.
    """
    backend = check_backend(backend, params)
    with backend.inference():
        problem = Problem(backend, net, get_loss(loss))
        wires, targets, _ = check_data(backend, net, params, problem.loss, x, y)
        _, gradient = problem.gradient(params, Batch(wires, targets))
        return gradient


def riemannian_gradient(
    net: Module,
    params: Params,
    x: Any,
    y: Any,
    *,
    loss: str,
    output_metric: str | Any = "ggn",
    rank: int = 1,
    mass: MassLike = 0.1,
    batch: Treatment = "stack",
    solver: str = "auto",
    coupling: Coupling = "layer",
    backend: Backend | str,
    seed: int = 0,
) -> Params:
    """Direction Δ_l = G_l⁻¹ g_l with G_l = M_l + V_lᵀ V_l (eqs. 2-3 of arXiv 2603.03610); a step is w ← w − η Δ.

    Args:
        net: a network with one output of shape (d,).
        params: one block per layer, native arrays in the backend's dtype.
        x: inputs (batch, *shape), native or whatever NumPy reads as numbers; a tuple for several wires.
        y: labels (batch,) of integers for `cross_entropy`, else real numbers (batch, d).
        loss: name of a loss, as for `loss_gradient`.
        output_metric: name of an output metric, such as `ggn`; `rbench list output_metrics` shows them; or a positive
            definite (d, d) matrix.
        rank: samples per datum, for a metric that draws them, such as `ggn_mc`.
        mass: a float; or a list with one entry per layer: a float, a pair (row (out,), column (in [+1],)) for
            m_ij = row_i column_j, or an array shaped like the layer's block, (out, in [+1]) or flat (n_l,).
        batch: `stack` (every datum's rows) or `mean` (the batch-mean Jacobian and metric): different metrics.
        solver: `gram`, `rows`, `dense`, `inverse`, or `auto`, which chooses for each layer.
        coupling: `layer`, a metric per layer; or `network`, Δ = (M + VᵀV)⁻¹ g for V = [V_1 … V_L]: the whole network's
            metric with its cross-layer terms, for which all layers share one capacitance.
        backend: the backend to compute on; or its name, for that backend in the dtype of `params`.
        seed: seed of the metric's samples.

    Returns:
        The direction in the structure of `params`.

    Raises:
        ShapeError, ParameterError, DtypeError, RangeError, BackendError: as for `loss_gradient`; or a seed that is no
            integer of at least 0.
        MetricError: no such loss, metric or treatment; a matrix that is not positive definite; `true_vs_rest` without
            labels.
        MassError: a mass that does not fit, or is not positive and finite in the backend's dtype.
        SolverError: no such solver or coupling, or it cannot use the mass or the coupling.
        CapacitanceError: a layer's matrix could not be factored, as where `x` or `params` are not finite.
    """
    check_coupling(coupling, solver)
    backend = check_backend(backend, params)
    with backend.inference():
        try:
            pulled, masses = _pull(net, params, x, y, loss, output_metric, rank, mass, batch, solver, backend, seed)
        except NotFiniteError as error:
            raise CapacitanceError(0, why=str(error)) from None
        solved = NetworkSolver(solver, coupling=coupling).directions(backend, pulled, masses)
        update = gathered(backend, net.layers, solved)
    check_health(backend.to_numpy(update.health))
    return update.blocks


def layer_metrics(
    net: Module,
    params: Params,
    x: Any,
    y: Any,
    *,
    loss: str,
    output_metric: str | Any = "ggn",
    rank: int = 1,
    mass: MassLike = 0.1,
    batch: Treatment = "stack",
    solver: str = "auto",
    backend: Backend | str,
    seed: int = 0,
) -> list[np.ndarray[Any, Any]]:
    """The metrics G_l = M_l + V_lᵀ V_l themselves, for inspection and tests: O(n_l²) memory each.

    Takes the arguments of `riemannian_gradient` and raises its errors; `solver` is checked but has no effect.

    Returns:
        A float64 NumPy array (n_l, n_l) for each layer, in the order weight (C order), then bias.
    """
    backend = check_backend(backend, params)
    with backend.inference():
        pulled, masses = _pull(net, params, x, y, loss, output_metric, rank, mass, batch, solver, backend, seed)
        metrics = [layer_metric(backend, rows, m) for rows, m in zip(pulled, masses, strict=True)]
    return [backend.to_numpy(metric).astype(np.float64) for metric in metrics]


def _pull(
    net: Module,
    params: Params,
    x: Any,
    y: Any,
    loss_name: str,
    output_metric: str | Any,
    rank: int,
    mass: MassLike,
    batch: Treatment,
    solver: str,
    backend: Backend,
    seed: int,
) -> tuple[list[LayerPullback], list[Mass]]:
    if not isinstance(batch, str) or batch not in TREATMENTS:
        raise MetricError(f"batch is {shown(batch)}; choose 'stack' or 'mean'")
    check_seed(seed)
    loss = get_loss(loss_name)
    metric = get_output_metric(output_metric, rank)
    wires, targets, d = check_data(backend, net, params, loss, x, y)
    masses = layer_masses(backend, net.layers, mass)
    check_solver(solver, masses)
    noise = None
    if metric.samples:
        draws = loss.noise(generator(seed, "samples"), wires[0].shape[0], metric.samples, d)
        noise = backend.asarray(draws)
    problem = Problem(backend, net, loss)
    _, pulled = pull_metric(problem, params, Batch(wires, targets, noise), metric, batch)
    return pulled, masses
