"""Cases of K-FAC's factors and of whole trajectories."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np

from rbench.backend import Backend
from rbench.losses import get_loss
from rbench.losses.dense import Numbers
from rbench.methods import (
    EKFAC,
    KFAC,
    PRONG,
    SGD,
    SOAP,
    Adam,
    Batch,
    Method,
    ModularNorm,
    Muon,
    Naive,
    NaturalGradient,
    Problem,
    Riemannian,
    Shampoo,
    compile_step,
)
from rbench.methods.kronecker import Sharing, gradient_covariance, input_covariance
from rbench.metrics import get_output_metric, pull_metric
from rbench.modules import Params
from rbench.random import generator
from rbench.testing import oracle
from rbench.testing._examples import BATCH, FIXED, LOSSES, SEED, Example, draw_targets, example
from rbench.testing.case import Arrays, Case, native, native_targets, on_host
from rbench.testing.reference import trajectory

STEPS, FEW = 26, 5
"""Steps of a trajectory, more than the 20 after which running averages have their usual decay; and of a short one."""

_RANK = 2
_SPLITS: tuple[Literal["pi", "eigen"], ...] = ("pi", "eigen")
_LIST = (0.3, 0.5)
_PAIRS = (((0.5, 1.0, 0.7, 0.9, 1.5), (0.5, 0.3, 0.4, 0.6, 0.5)), ((1.0, 2.0, 0.5), (0.4, 0.3, 0.5, 0.4, 0.2)))
"""Masses for the network `no bias`."""

_FITTED: dict[str, Any] = {"fit": "layers", "fit_damping": 0.3, "trust": 0.05, "weight_decay": 0.1}

_UNFITTED: dict[str, Any] = {"momentum": 0.5, "weight_decay": 0.1, "schedule": "linear"}

_TRAJECTORIES: list[tuple[Method, str, int]] = [
    (SGD(lr=0.1, weight_decay=0.1, schedule="linear"), "cross_entropy", FEW),
    (SGD(lr=0.1, momentum=0.0), "cross_entropy", STEPS),
    (SGD(lr=0.05, weight_decay=0.1, schedule="linear"), "squared_error", STEPS),
    (SGD(lr=0.1, momentum=0.8, nesterov=True, schedule="cosine"), "binary_cross_entropy", STEPS),
    (Adam(lr=0.02, schedule="linear"), "cross_entropy", FEW),
    (Adam(lr=0.02), "cross_entropy", STEPS),
    (Adam(lr=0.02, beta1=0.7, beta2=0.9, epsilon=0.01, weight_decay=0.1), "squared_error", STEPS),
    (Riemannian(lr=0.1, rank=_RANK, mass=0.5, kl_clip=0.001, schedule="linear"), "cross_entropy", FEW),
    (Riemannian(lr=0.1, rank=_RANK, mass=0.5), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, output_metric="ggn", mass=_PAIRS, solver="gram", schedule="linear"), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, output_metric="ggn", mass=0.5, batch="mean", momentum=0.5), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, output_metric="true_vs_rest", mass=_LIST, weight_decay=0.1), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, output_metric="empirical_fisher", kl_clip=0.01, solver="rows"), "squared_error", STEPS),
    (Riemannian(lr=0.1, output_metric="identity", mass=0.5, solver="dense"), "squared_error", STEPS),
    (Riemannian(lr=0.1, output_metric=FIXED, mass=0.5, momentum=0.0), "binary_cross_entropy", STEPS),
    (Riemannian(lr=0.1, rank=_RANK, mass=_PAIRS, metric_batch=2, kl_clip=0.001), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, output_metric="true_vs_rest", mass=_LIST, metric_batch=3, refresh=2), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, output_metric="ggn", mass=0.5, batch="mean", metric_batch=2), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, output_metric="ggn", mass=0.5, refresh=3, solver="rows"), "squared_error", STEPS),
    (Riemannian(lr=0.1, rank=_RANK, mass=0.5, coupling="network"), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, rank=_RANK, mass=_LIST, coupling="network", refresh=2, metric_batch=3), "squared_error", STEPS),
    (Riemannian(lr=0.1, output_metric="ggn", mass=0.5, coupling="network", batch="mean"), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, output_metric="true_vs_rest", coupling="network", **_FITTED), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, rank=_RANK, mass="kronecker", damping=0.3), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, rank=_RANK, mass="kronecker", rows=0.3, factor_refresh=3, **_FITTED), "squared_error", STEPS),
    (Riemannian(lr=0.1, mass="kronecker", rows=False, factor_refresh=2, **_FITTED), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, mass="kronecker", coupling="network", refresh=2, factor_refresh=4), "cross_entropy", STEPS),
    (Riemannian(lr=0.1, mass="diagonal", decay=0.8, metric_batch=2, kl_clip=0.01), "binary_cross_entropy", STEPS),
    (Riemannian(lr=0.1, output_metric="ggn", mass="diagonal", rows=False, fit="scalar"), "squared_error", STEPS),
    (Riemannian(lr=8.0, output_metric="ggn", mass=0.5, momentum=0.5, line_search=4), "cross_entropy", FEW),
    (Riemannian(lr=0.1, mass=_PAIRS, coupling="network", spring=True, momentum=0.7), "squared_error", FEW),
    (Naive(lr=0.1, rank=_RANK, mass=0.5), "binary_cross_entropy", FEW),
    (Naive(lr=0.1, output_metric="ggn", mass=_LIST, kl_clip=0.001, schedule="linear"), "cross_entropy", STEPS),
    (Naive(lr=0.1, rank=_RANK, mass=_PAIRS, spring=True, momentum=0.7), "squared_error", FEW),
    (NaturalGradient(lr=0.1, rank=_RANK, damping=0.5, iterations=3, kl_clip=0.001), "cross_entropy", FEW),
    (NaturalGradient(lr=0.1, output_metric="ggn", iterations=4, precondition=0.7), "binary_cross_entropy", STEPS),
    (NaturalGradient(lr=0.1, output_metric="empirical_fisher", iterations=2, warm_start=0.9), "squared_error", STEPS),
    (
        NaturalGradient(lr=0.1, damping=0.5, metric_batch=3, iterations=5, tolerance=0.1, **_UNFITTED),
        "squared_error",
        STEPS,
    ),
    (NaturalGradient(lr=0.1, output_metric="true_vs_rest", iterations=3, **_FITTED), "cross_entropy", STEPS),
    (NaturalGradient(lr=0.1, rank=_RANK, damping=0.5, solve="woodbury", refresh=2), "cross_entropy", STEPS),
    (KFAC(lr=0.05, rank=_RANK, damping=0.3, refresh=2, kl_clip=0.0003, schedule="linear"), "cross_entropy", FEW),
    (KFAC(lr=0.05, factors="exact", damping=0.3, decay=0.0, weight_decay=0.1), "cross_entropy", STEPS),
    (KFAC(lr=0.05, factors="exact", damping=0.3, damping_split="eigen", decay=0.5), "squared_error", STEPS),
    (KFAC(lr=0.05, rank=_RANK, damping=0.3, refresh=3), "binary_cross_entropy", STEPS),
    (KFAC(lr=0.05, damping=0.3, damping_split="eigen", refresh=3, kl_clip=0.002), "cross_entropy", STEPS),
    (KFAC(lr=0.05, rank=_RANK, damping=0.3, fit="scalar", refresh=2), "cross_entropy", STEPS),
    (KFAC(lr=0.05, damping=0.3, metric_batch=0.3, damping_split="eigen", **_FITTED), "squared_error", STEPS),
    (KFAC(lr=0.05, damping=0.3, decay=0.0, **_FITTED), "binary_cross_entropy", STEPS),
    (KFAC(lr=0.05, factors="empirical", damping=0.3, schedule="linear", momentum=0.0), "squared_error", STEPS),
    (Shampoo(lr=0.02, epsilon=0.01, refresh=2, graft="adam", graft_epsilon=0.01), "cross_entropy", FEW),
    (Shampoo(lr=0.05, epsilon=0.01, decay=None, schedule="linear"), "cross_entropy", STEPS),
    (Shampoo(lr=0.02, epsilon=0.01, decay=None, graft="adam", graft_epsilon=0.01), "squared_error", STEPS),
    (Shampoo(lr=0.05, epsilon=0.01, decay=0.5, graft="sgd", weight_decay=0.1), "binary_cross_entropy", STEPS),
    (SOAP(lr=0.02, epsilon=0.01, refresh=2, schedule="linear"), "squared_error", FEW),
    (SOAP(lr=0.02, epsilon=0.01, refresh=3, decay=0.8, weight_decay=0.1), "squared_error", STEPS),
    (SOAP(lr=0.02, epsilon=0.01, beta1=0.7, beta2=0.9, refresh=2), "binary_cross_entropy", STEPS),
    (Muon(lr=0.02, last="muon", schedule="linear"), "cross_entropy", FEW),
    (Muon(lr=0.02, weight_decay=0.1, schedule="cosine"), "cross_entropy", STEPS),
    (Muon(lr=0.02, momentum=0.5, nesterov=False, iterations=3, last="muon", adam_lr=0.05), "squared_error", STEPS),
    (ModularNorm(schedule="linear"), "cross_entropy", FEW),
    (ModularNorm(epsilon=0.01, masses=(1, 3), weight_decay=0.1), "cross_entropy", STEPS),
    (ModularNorm(base="sgd", beta1=0.5, iterations=2, schedule="cosine"), "squared_error", STEPS),
    (PRONG(lr=0.05, epsilon=0.3, refresh=2, schedule="linear"), "cross_entropy", FEW),
    (PRONG(lr=0.05, epsilon=0.1, weight_decay=0.1), "binary_cross_entropy", STEPS),
    (PRONG(lr=0.05, epsilon=0.3, refresh=3, decay=0.0, momentum=0.5), "squared_error", STEPS),
]
"""Method, loss and steps; the short gate takes the first of every method."""

_EIGEN: list[tuple[Method, str, int]] = [
    (EKFAC(lr=0.05, rank=_RANK, damping=0.3, refresh=2, kl_clip=0.0003, schedule="linear"), "squared_error", FEW),
    (EKFAC(lr=0.05, damping=0.2, refresh=3), "binary_cross_entropy", STEPS),
    (EKFAC(lr=0.05, factors="exact", damping=0.3, decay=0.5, refresh=5, weight_decay=0.1), "squared_error", STEPS),
    (EKFAC(lr=0.05, factors="exact", damping=0.3, metric_batch=0.7, **_FITTED), "binary_cross_entropy", STEPS),
    (EKFAC(lr=0.05, factors="empirical", damping=0.3, decay=0.0, momentum=0.0), "squared_error", STEPS),
]
"""The same of methods that keep eigenvectors, on a network whose factors have no repeated eigenvalues."""

_LOOPS: list[tuple[Method, str]] = [
    (Riemannian(lr=0.1, rank=_RANK, mass=0.5, schedule="linear"), "cross_entropy"),
    (KFAC(lr=0.05, rank=_RANK, damping=0.3), "cross_entropy"),
    (NaturalGradient(lr=0.1, rank=_RANK, damping=0.5, iterations=3, warm_start=0.9), "cross_entropy"),
    (Riemannian(lr=0.1, mass="kronecker", coupling="network", **_FITTED), "cross_entropy"),
    (Shampoo(lr=0.05, epsilon=0.01, graft="adam", graft_epsilon=0.01), "cross_entropy"),
    (Muon(lr=0.02, schedule="linear"), "cross_entropy"),
]
"""Method and loss of trajectories whose steps are one call if the backend has loops."""

_ON_IMAGES: list[Method] = [
    Riemannian(lr=0.1, rank=_RANK, mass=0.5, solver="gram", workspace_mb=1e-6),
    Riemannian(lr=0.1, rank=_RANK, mass=0.5, metric_batch=2, refresh=2),
    Riemannian(lr=0.1, rank=_RANK, mass="kronecker", damping=0.3, coupling="network", **_FITTED),
    Riemannian(lr=0.1, rank=_RANK, mass="kronecker", damping=0.3, workspace_mb=1e-6, metric_batch=2, factor_refresh=2),
    KFAC(lr=0.05, rank=_RANK, damping=0.3),
    KFAC(lr=0.05, rank=_RANK, damping=0.3, sharing="reduce"),
    KFAC(lr=0.05, rank=_RANK, damping=0.3, sharing="reduce", decay=0.0),
    Shampoo(lr=0.05, epsilon=0.01),
    NaturalGradient(lr=0.1, rank=_RANK, damping=0.5, iterations=3, metric_batch=4),
    EKFAC(lr=0.05, factors="exact", damping=0.3),
    PRONG(lr=0.05, epsilon=0.3, refresh=2),
]
"""Methods whose trajectories are tried with convolutions."""

_WITH_GAINS: list[Method] = [Muon(lr=0.02), ModularNorm()]
"""Methods whose trajectories are tried with gains, which are no matrices, and with a maximum over pixels."""

_WIDE = KFAC(lr=0.05, rank=_RANK, damping=0.3, refresh=2, kl_clip=0.0003)
"""A method that solves with a batch's points where they are fewer than a layer's sizes."""


def method_cases() -> Iterator[Case]:
    """`kfac factors`, `kfac directions`, and `trajectory …` of every built-in method."""
    for network in ("residual", "no bias"):
        for loss in LOSSES if network == "residual" else LOSSES[:1]:
            for metric in ("ggn_mc", "ggn", "empirical_fisher") if loss == "cross_entropy" else ("ggn_mc",):
                yield _factor_case(network, loss, metric)
    for sharing in get_args(Sharing):
        yield _factor_case("largest pixels", "cross_entropy", "ggn_mc", sharing)
    for network in ("residual", "flatten", "wide"):
        for split in _SPLITS:
            kfac = KFAC(lr=1.0, momentum=0.0, factors="exact", damping=0.3, damping_split=split)
            training = Training(example(network), "cross_entropy", kfac, 1)
            yield training.case("kfac directions", f"{network}, {split}")
    for method, loss, steps in _TRAJECTORIES:
        yield Training(example("no bias"), loss, method, steps).case()
    for method, loss, steps in _EIGEN:
        yield Training(example("residual"), loss, method, steps).case()
    for method, loss in _LOOPS:
        training = Training(example("no bias"), loss, method, STEPS)
        yield training.case(name=f"{training}, in one call", in_one_call=True)
    for method in _ON_IMAGES:
        training = Training(example("strided images"), "cross_entropy", method, FEW)
        yield training.case(name=f"images, {training}")
    for method in _WITH_GAINS:
        training = Training(example("largest pixels"), "cross_entropy", method, FEW)
        yield training.case(name=f"largest pixels, {training}")
    training = Training(example("wide"), "cross_entropy", _WIDE, FEW)
    yield training.case(name=f"wide, {training}")


def _factor_case(network: str, loss: str, metric: str, sharing: Sharing = "expand") -> Case:
    """A and G of every layer."""
    given = example(network)
    y = given.targets[loss]

    def compute(backend: Backend) -> Arrays:
        chosen = get_loss(loss)
        output_metric = get_output_metric(metric, _RANK)
        x = tuple(map(backend.asarray, given.x))
        targets = native_targets(backend, chosen, y)
        noise = backend.asarray(chosen.noise(generator(SEED, "samples"), BATCH, _RANK, given.d))
        params = native(backend, given.params)
        problem = Problem(backend, given.net, chosen)
        _, pulled = pull_metric(problem, params, Batch(x, targets, noise), output_metric, "stack")
        return [
            backend.to_numpy(covariance(backend, rows, sharing))
            for rows in pulled
            for covariance in (input_covariance, gradient_covariance)
        ]

    def expect() -> Arrays:
        outputs = oracle.output_metrics(metric, loss, given.outputs, y, _RANK, SEED)
        pairs = oracle.kronecker_factors(given.net, given.params, given.x, outputs, sharing)
        return [factor for pair in pairs for factor in pair]

    return Case("kfac factors", ", ".join((network, loss, metric, sharing)), compute, expect)


@dataclass(frozen=True)
class Training:
    """Steps of a method, each on its own batch; the arrays are the losses before every step, and the final blocks.

    Attributes:
        given: the network and its first parameters.
        loss: the loss's name.
        method: the method.
        steps: number of steps.
    """

    given: Example
    loss: str
    method: Method
    steps: int

    def __str__(self) -> str:
        return f"{self.method.spec}, {self.loss}, {self.steps} steps"

    @cached_property
    def data(self) -> tuple[tuple[Numbers, ...], Numbers]:
        """Inputs (steps, batch, *shape), one array per wire, and targets."""
        rng = generator(SEED, "data", 4)
        x = self.given.drawn(rng, self.steps)
        return x, draw_targets((self.steps, BATCH), rng, self.given.d)[self.loss]

    @cached_property
    def noise(self) -> Numbers:
        """What the method's samples are made of at every step, (steps, batch, samples, …)."""
        draw, samples = get_loss(self.loss).noise, self.method.samples
        steps = [generator(SEED, "samples", t) for t in range(self.steps)]
        return np.stack([draw(random, BATCH, samples, self.given.d) for random in steps])

    def case(self, check: str = "", name: str = "", in_one_call: bool = False) -> Case:
        """The case of these steps, `trajectory …` of the method if no check is named."""
        compute = self.in_one_call if in_one_call else self.step_by_step
        return Case(check or f"trajectory {self.method.name}", name or str(self), compute, self.expected)

    def batch(self, problem: Problem, place: int | slice, samples: int) -> Batch:
        """The batch of a step, or of several with a leading axis of steps; with noise if there are samples to draw."""
        x, y = self.data
        noise = problem.backend.asarray(self.noise[place]) if samples else None
        wires = tuple(problem.backend.asarray(wire[place]) for wire in x)
        targets = native_targets(problem.backend, problem.loss, y[place])
        return Batch(wires if len(wires) > 1 else wires[0], targets, noise)

    def start(self, backend: Backend) -> tuple[Problem, Params, Any]:
        """The problem, the first parameters and the first state on a backend."""
        problem = Problem(backend, self.given.net, get_loss(self.loss))
        params = native(backend, self.given.params)
        return problem, params, self.method.start(problem, params, self.batch(problem, 0, 0))

    def step_by_step(self, backend: Backend) -> Arrays:
        """The arrays on a backend, by its compiled step."""
        method = self.method
        problem, params, state = self.start(backend)
        step = compile_step(problem, method)
        losses = []
        for t in range(self.steps):
            phase = method.phase(t)
            batch = self.batch(problem, t, method.samples_in(phase))
            result = step(params, state, batch, method.scalars(t, self.steps), phase=phase)
            params = result.params
            state = result.state
            losses.append(backend.to_numpy(result.loss))
        return [np.stack(losses), *on_host(backend, params)]

    def in_one_call(self, backend: Backend) -> Arrays:
        """The arrays on a backend, by one call for all steps, of one phase; step by step if it has no loops."""
        method = self.method
        problem, *first = self.start(backend)

        def one(carry: Any, item: Any) -> Any:
            (params, state), (batch, scalars) = carry, item
            result = method.step(problem, params, state, batch, scalars, method.phase(0))
            return (result.params, result.state), (result.loss, result.health)

        loop = backend.compile_loop(one)
        if loop is None:
            return self.step_by_step(backend)
        rows = [method.scalars(t, self.steps) for t in range(self.steps)]
        scalars = {name: backend.asarray([row[name] for row in rows]) for name in rows[0]}
        items = self.batch(problem, slice(None), method.samples), scalars
        (params, _), (losses, _) = loop(tuple(first), items)
        return [backend.to_numpy(losses), *on_host(backend, params)]

    def expected(self) -> Arrays:
        """The arrays by the reference."""
        x, y = self.data
        given = self.given
        return trajectory(given.net, given.params, x, y, loss=self.loss, method=self.method, seed=SEED)
