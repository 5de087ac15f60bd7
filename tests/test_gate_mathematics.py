"""The equivalence gate can fail: mathematics that is wrong is missed, on a backend that is right."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.missed import misses, telling
from rbench import api
from rbench.losses import CrossEntropy, SquaredError
from rbench.methods import (
    KFAC,
    Adam,
    Descent,
    Method,
    ModularNorm,
    Muon,
    Shampoo,
    curved,
    ekfac,
    kronecker,
    modular_norm,
    muon,
    natural_gradient,
    preconditioned,
    prong,
    shampoo,
    soap,
)
from rbench.metrics import KroneckerMass, pullback
from rbench.modules import GELU, LayerPullback, Tanh
from rbench.modules.pointwise import Pointwise
from rbench.plugins import plugins
from rbench.solvers import fit, gram, network, woodbury
from rbench.testing import cases, relative_error


def without_mean(real):
    """A pullback of the metric that lacks the 1/B of the batch's mean."""

    def pull(problem, params, batch, *rest):
        value, pulled = real(problem, params, batch, *rest)
        return value, [enlarged(rows, len(batch.y) ** 0.5) for rows in pulled]

    return pull


def enlarged(rows, factor):
    """The same gradient, and rows of the metric `factor` times as long."""
    if rows.scale is not None:
        return replace(rows, scale=rows.scale * factor)
    longer = np.concatenate([rows.cotangents[:, :1], rows.cotangents[:, 1:] * factor], axis=1)
    return replace(rows, cotangents=longer)


def times(factor):
    return lambda real: lambda *args: real(*args) * factor


def with_scalars(changed):
    return lambda real: lambda self, step, total: real(self, step, total) | changed(self)


def changed_first(change):
    """The first of two results changed, given it and the arguments."""

    def wrong(real):
        def compute(*args):
            first, second = real(*args)
            return change(first, *args), second

        return compute

    return wrong


def doubled_bias(real):
    def entries(self, *args):
        weight, bias = real(self, *args)
        return weight, 2 * bias

    return entries


def momentum_without_mass(real):
    """SPRING's right-hand side g + μ Δ, which is g + μ M (M⁻¹Δ)."""

    def sprung(backend, gradient, mass, momentum, last):
        entries = mass.entries(0, len(last[0]))
        without = [None if part is None else part / entry for part, entry in zip(last, entries, strict=True)]
        return real(backend, gradient, mass, momentum, without)

    return sprung


def without_outputs_mass(real):
    def product(backend, term):
        identity = backend.eye(term.layer.fan_out)
        return real(backend, term._replace(mass=replace(term.mass, outputs=identity)))

    return product


UNCLIPPED = lambda real: lambda problem, direction, *rest: direction  # noqa: E731
MATHEMATICS = {
    "metric without 1/B": (
        (api, "pull_metric"), without_mean,
        {"metric ggn", "metric ggn_mc", "metric true_vs_rest", "batch mean", "mass diagonal", "solver gram"},
    ),
    "1/B in the methods": (
        (curved, "pull_metric"), without_mean,
        {"trajectory riemannian", "trajectory naive", "kfac directions", "trajectory kfac"},
    ),
    "1/B of the mean's metric": (
        (pullback, "_mean_factor"), times(2.0), {"batch mean", "solver gram", "solver rows", "trajectory riemannian"},
    ),
    "scale of true_vs_rest": (
        (CrossEntropy, "true_vs_rest_scale"), lambda real: lambda *args: real(*args) ** 2,
        {"metric true_vs_rest", "solver gram", "trajectory riemannian"},
    ),
    "uncentred Hessian": (
        (CrossEntropy, "hessian_factor"),
        lambda real: lambda self, backend, z: np.sqrt(self.predictions(backend, z))[:, :, None] * np.eye(z.shape[1]),
        {"loss", "metric ggn", "kfac factors", "trajectory riemannian"},
    ),
    "1/√r of the samples": (
        (CrossEntropy, "sampled_factor"), times(3**0.5), {"metric ggn_mc", "kfac factors", "trajectory kfac"},
    ),
    "samples of another seed": (
        (api, "generator"), lambda real: lambda seed, purpose: real(seed + 1, purpose), {"metric ggn_mc"},
    ),
    "squared error without ½": (
        (SquaredError, "values"), times(2.0), {"loss", "trajectory sgd", "trajectory riemannian"},
    ),
    "derivative of tanh": (
        (Tanh, "derivative"), lambda real: lambda self, b, x, y: 1 - y, {"pullback", "gradient", "metric ggn"},
    ),
    "derivative of GELU": ((GELU, "derivative"), lambda real: lambda self, b, x, y: y / x, {"pullback", "gradient"}),
    "mass of the bias": (
        (KroneckerMass, "entries"), doubled_bias, {"mass scalar", "mass separable", "solver dense"},
    ),
    "gram without mass": ((gram, "divided"), lambda real: lambda array, mass: array, {"solver gram"}),
    "a kept metric's products": ((woodbury, "inner_products"), times(2.0), {"trajectory riemannian"}),
    "corrected cotangents": ((woodbury, "combine"), times(2.0), {"trajectory riemannian"}),
    "gram without correction": (
        (LayerPullback, "coefficients"), lambda real: lambda layer, weights: real(layer, 0 * weights),
        {"solver gram", "solver auto", "trajectory riemannian"},
    ),
    "damping split swapped": (
        (kronecker, "split_damping"), lambda real: lambda *given: real(*given)[::-1],
        {"kfac directions", "trajectory kfac"},
    ),
    "eigenvalues not damped": (
        (kronecker, "solve"), lambda real: lambda b, pair, g, damping, form: real(b, pair, g, 1e-9, form),
        {"kfac directions", "trajectory kfac"},
    ),
    "averages that begin at zero": (
        (KFAC, "scalars"), with_scalars(lambda method: {"decay": method.decay}), {"trajectory kfac"},
    ),
    "no bias correction": (
        (Adam, "scalars"), with_scalars(lambda method: {"correction1": 1.0, "correction2": 1.0}), {"trajectory adam"},
    ),
    "a schedule one step ahead": (
        (Method, "scalars"), lambda real: lambda self, step, total: real(self, step + 1, total),
        {f"trajectory {name}" for name, cls in plugins().registered("methods").items() if not cls.backends},
    ),
    "factors that begin at zero": (
        (Shampoo, "scalars"), with_scalars(lambda method: {"correction": 1.0}), {"trajectory shampoo"},
    ),
    "a square root for a fourth root": (
        (Shampoo, "_root"), changed_first(lambda root, *rest: root @ root), {"trajectory shampoo"},
    ),
    "no grafting": (
        (shampoo, "_grafted"), lambda real: lambda backend, direction, other: direction, {"trajectory shampoo"},
    ),
    "averages that stay in the old basis": (
        (soap, "_turned"), changed_first(lambda first, backend, moments, *rest: moments[0]),
        {"trajectory soap"},
    ),
    "squares that stay in their order": (
        (soap, "_turned"), lambda real: lambda backend, moments, *rest: (real(backend, moments, *rest)[0], moments[1]),
        {"trajectory soap"},
    ),
    "one iteration fewer": (
        (muon, "orthogonalised"), lambda real: lambda backend, matrix, count: real(backend, matrix, count - 1),
        {"trajectory muon"},
    ),
    "the rate of Adam without its schedule": (
        (Muon, "scalars"), with_scalars(lambda method: {"adam_lr": method.adam_lr}), {"trajectory muon"},
    ),
    "layers of one sensitivity": (
        (modular_norm, "downstream"), lambda real: lambda net: [1.0 for _ in net.layers],
        {"trajectory modular-norm"},
    ),
    "a power iteration that begins anew": (
        (ModularNorm, "_norm"), lambda real: lambda *args: (real(*args)[0], args[-1]), {"trajectory modular-norm"},
    ),
    "no Nesterov": (
        (Descent, "descend"), lambda real: lambda *args, nesterov=False: real(*args), {"trajectory sgd"},
    ),
    "no clip": (
        (curved, "clip_step"), UNCLIPPED, {"trajectory riemannian", "trajectory naive", "trajectory kfac"},
    ),
    "layers that are not coupled": (
        (network, "solve_jointly"),
        lambda real: lambda backend, terms: [form.direction(backend, *pair) for form, *pair in terms],
        {"coupled layers", "trajectory riemannian"},
    ),
    "rows without their weight": (
        (LayerPullback, "weighted"), lambda real: lambda layer, weight: layer, {"trajectory riemannian"},
    ),
    "rows without the mass of their outputs": (
        (woodbury, "_factored_product"), without_outputs_mass, {"trajectory riemannian"},
    ),
    "a bound of the step": (
        (fit, "solve_fit"), lambda real: lambda backend, q, r, trust: real(backend, q, r, 4 * trust),
        {"trajectory riemannian", "trajectory kfac"},
    ),
    "the fit's part of the batch": (
        (curved, "fit_coefficients"), lambda real: lambda *args, **options: real(*args, **{**options, "share": 1.0}),
        {"trajectory kfac"},
    ),
    "a line search of one rate": (
        (curved, "least_rate"), lambda real: lambda *args: real(*args[:-1], 0),
        {"trajectory riemannian"},
    ),
    "SPRING's momentum without the mass": (
        (preconditioned, "_sprung"), momentum_without_mass, {"trajectory riemannian", "trajectory naive"},
    ),
    "a pushforward without the derivative": (
        (Pointwise, "push_tangents"), lambda real: lambda self, backend, tape, tangents: tangents,
        {"pushforward", "trajectory natural-gradient"},
    ),
    "one conjugate gradient fewer": (
        (natural_gradient, "conjugate_gradients"),
        lambda real: lambda *args, iterations, **options: real(*args, iterations=iterations - 1, **options),
        {"trajectory natural-gradient"},
    ),
    "EKFAC with the eigenvalues of K-FAC": (
        (ekfac, "second_moments"),
        lambda real: lambda backend, layer, pair: pair[1].values[:, None] * pair[0].values[None, :],
        {"trajectory ekfac"},
    ),
    "PRONG with inputs that are not centred": (
        (prong, "_direction"), lambda real: lambda gradient, known: real(gradient, known._replace(mean=0 * known.mean)),
        {"trajectory prong"},
    ),
}  # fmt: skip
"""What is replaced, by a wrong one made of the right one, and the checks that must tell."""


@pytest.mark.parametrize("mistake", MATHEMATICS)
def test_wrong_mathematics_is_found(mistake, backend, monkeypatch):
    (owner, name), wrong, expected = MATHEMATICS[mistake]
    chosen = telling(expected)
    right = {case: case.expected for case in chosen}
    monkeypatch.setattr(owner, name, wrong(getattr(owner, name)))
    missed = misses(backend, chosen)
    assert missed.keys() >= expected
    assert missed.keys() < {case.check for case in cases()}
    for result in missed.values():
        assert relative_error(result.case.expect(), right[result.case]) == 0
