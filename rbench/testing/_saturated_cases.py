"""Cases of saturated outputs, whose probabilities round to 0 and 1: losses, metrics and whole steps, compiled."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from rbench.backend import Array, Backend
from rbench.losses import get_loss
from rbench.losses.dense import Numbers
from rbench.methods import EKFAC, KFAC, PRONG, SGD, Adam, Method, Naive, NaturalGradient, Riemannian
from rbench.metrics import get_output_metric
from rbench.random import generator
from rbench.testing import oracle
from rbench.testing._examples import BATCH, SEED, draw_targets, example
from rbench.testing._method_cases import FEW, Training
from rbench.testing.case import Arrays, Case, native_targets

_SCALE = 100.0
"""Scale of the largest outputs."""

_SIZES = (0.01, 0.03, 0.1, 0.3, 1.0, 1.0)
"""Scale of each datum relative to the largest: moderate outputs among saturated ones, as in training."""

_COUNTS = ((10, "cross_entropy"), (2, "cross_entropy"), (3, "squared_error"), (3, "binary_cross_entropy"))
"""Numbers of outputs, with the losses."""

_METRICS = ("true_vs_rest", "ggn", "ggn_mc", "identity", "empirical_fisher")
"""Output metrics; the short gate takes the first."""

_RANK = 2
_METHODS: list[Method] = [
    Riemannian(lr=0.1, output_metric="true_vs_rest", mass=0.01),
    Riemannian(lr=0.1, output_metric="true_vs_rest", mass=0.01, batch="mean"),
    Riemannian(lr=0.1, output_metric="true_vs_rest", mass=0.01, metric_batch=4, refresh=2),
    *(Riemannian(lr=0.1, output_metric=name, rank=_RANK, mass=10) for name in _METRICS[1:]),
    Riemannian(lr=0.1, output_metric="ggn", mass=10, batch="mean", kl_clip=0.001),
    Naive(lr=0.1, output_metric="true_vs_rest", mass=0.1),
    KFAC(lr=0.1, factors="exact", damping=10),
    KFAC(lr=0.1, factors="mc", rank=_RANK, damping=10, damping_split="eigen", refresh=2, kl_clip=0.001),
    KFAC(lr=0.1, factors="empirical", damping=10),
    KFAC(lr=0.1, factors="exact", damping=10, decay=0.0),
    NaturalGradient(lr=0.1, output_metric="ggn", damping=10, iterations=3),
    NaturalGradient(lr=0.1, rank=_RANK, damping=10, iterations=2, precondition=0.75),
    EKFAC(lr=0.1, factors="exact", damping=10),
    PRONG(lr=0.1, epsilon=0.3),
    SGD(lr=0.1),
    Adam(lr=0.1),
]
"""Methods whose steps are tried; the short gate takes the first.

Masses and dampings are as large as float32 needs for Jacobians of up to 100, except where the metric's rows tend to
zero.
"""


def saturated_cases() -> Iterator[Case]:
    """`saturated outputs` of every loss and output metric, and `saturated steps` of every method."""
    for d, loss in _COUNTS:
        for metric in _METRICS:
            if metric != "true_vs_rest" or loss == "cross_entropy":
                name = f"{loss}, {metric}, {d} outputs"
                settings = loss, metric, d
                yield Case("saturated outputs", name, partial(_outputs, *settings), partial(_expected, *settings))
    for method in _METHODS:
        rescales = "true_vs_rest" in method.spec
        yield _steps(method, 10, "cross_entropy")
        yield _steps(method, *((2, "cross_entropy") if rescales else (3, "binary_cross_entropy")))


def _steps(method: Method, d: int, loss: str) -> Case:
    given = example(f"{d} outputs")
    *others, last = given.params
    large = replace(given, params=(*others, {"weight": _SCALE * last["weight"]}), sizes=_SIZES)
    training = Training(large, loss, method, FEW)
    # As in training, steps of one phase are one call if the backend has loops.
    alike = len({method.phase(step) for step in range(FEW)}) == 1
    return training.case("saturated steps", f"{given.name}, {training}", in_one_call=alike)


def _data(loss: str, d: int) -> tuple[Numbers, Numbers]:
    """Outputs (batch, d) and targets."""
    rng = generator(SEED, "data", 10)
    z = _SCALE * np.asarray(_SIZES)[:, None] * np.clip(rng.normal(size=(BATCH, d)), -2, 2)
    return z, draw_targets((BATCH,), rng, d)[loss]


def _outputs(name: str, metric_name: str, d: int, backend: Backend) -> Arrays:
    """Values, cotangents, predictions and output metrics (batch, d, d)."""
    loss = get_loss(name)
    metric = get_output_metric(metric_name, _RANK)

    def compute(z: Array, y: Array, noise: Array | None) -> Any:
        factor = metric.factor(backend, loss, z, y, noise)
        values, cotangents = loss.values_and_cotangents(backend, z, y)
        rows = factor.rows if factor.scale is None else (cotangents * factor.scale[:, None])[:, None, :]
        return values, cotangents, loss.predictions(backend, z), rows

    z, y = _data(name, d)
    noise = None
    if metric.samples:
        noise = backend.asarray(loss.noise(generator(SEED, "samples"), BATCH, _RANK, d))
    found = backend.compile(compute)(backend.asarray(z), native_targets(backend, loss, y), noise)
    *arrays, rows = map(backend.to_numpy, found)
    return [*arrays, np.swapaxes(rows, 1, 2) @ rows]


def _expected(loss: str, metric: str, d: int) -> Arrays:
    z, y = _data(loss, d)
    dense = get_loss(loss).dense
    pairs = list(zip(z, y, strict=True))
    return [
        np.array([dense.value(*pair) for pair in pairs]),
        np.stack([dense.cotangent(*pair) for pair in pairs]),
        np.stack([dense.mean(row) for row in z]),
        oracle.output_metrics(metric, loss, z, y, _RANK, SEED),
    ]
