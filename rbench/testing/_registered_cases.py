"""Cases of every registered loss and output metric that no table names, such as a plugin's, by its dense definition."""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import numpy as np

from rbench.backend import Backend
from rbench.errors import MetricError
from rbench.losses import get_loss
from rbench.methods import Riemannian
from rbench.metrics import get_output_metric
from rbench.plugins import plugins
from rbench.random import generator
from rbench.testing import oracle
from rbench.testing._examples import LOSSES, SEED, example
from rbench.testing._method_cases import FEW, Training
from rbench.testing._metric_cases import METRICS, Question
from rbench.testing._network_cases import gradient_case, loss_case, loss_data
from rbench.testing.case import Arrays, Case

_SAMPLES = 10_000


def registered_cases() -> Iterator[Case]:
    """`loss …` and `metric …` of each: values and derivatives, layer metrics, and a trajectory."""
    for loss in plugins().registered("losses"):
        if loss not in LOSSES:
            yield from _loss_cases(f"loss {loss}", loss)
    for metric in plugins().registered("output_metrics"):
        if metric not in METRICS:
            yield from _metric_cases(f"metric {metric}", metric)


def _loss_cases(check: str, loss: str) -> Iterator[Case]:
    yield loss_case(check, loss, "moderate outputs")
    yield Case(
        f"samples of {loss}",
        f"{_SAMPLES:,} for each datum",
        partial(_sampled_hessians, loss),
        lambda: [np.stack([oracle.hessian(loss, z) for z in loss_data(loss)[0]])],
        tolerance={"float64": 0.05, "float32": 0.05},
        why="the mean of so many rows' outer products is within some two per cent of its limit, the Hessian",
    )
    yield gradient_case(check, "residual, gradient", example("residual"), loss)
    for metric in ("ggn", "ggn_mc", "empirical_fisher"):
        yield Question("residual", loss, metric, 3).metric_case(check)
    yield _trajectory(check, loss, "ggn_mc")


def _fits(metric: str, loss: str) -> bool:
    """Whether the metric is defined for the loss; its cases report any other error."""
    with suppress(Exception):
        try:
            get_output_metric(metric).check(get_loss(loss))
        except MetricError:
            return False
    return True


def _sampled_hessians(name: str, backend: Backend) -> Arrays:
    loss, (z, _) = get_loss(name), loss_data(name)
    noise = loss.noise(generator(SEED, "samples"), len(z), _SAMPLES, z.shape[1])
    factor = backend.to_numpy(loss.sampled_factor(backend, backend.asarray(z), backend.asarray(noise)))
    return [np.swapaxes(factor, 1, 2) @ factor]


def _metric_cases(check: str, metric: str) -> Iterator[Case]:
    chosen = get_output_metric(metric)
    losses = [loss for loss in dict.fromkeys((*LOSSES, *plugins().registered("losses"))) if _fits(metric, loss)]
    for loss in losses:
        for rank in (1, 3) if chosen.samples else (1,):
            yield Question("residual", loss, metric, rank).metric_case(check)
    for loss in losses[:1]:
        yield Question("residual", loss, metric, batch="mean").metric_case(check)
        yield _trajectory(check, loss, metric)


def _trajectory(check: str, loss: str, metric: str) -> Case:
    method = Riemannian(lr=0.1, output_metric=metric, rank=2, mass=0.5)
    return Training(example("no bias"), loss, method, FEW).case(check)
