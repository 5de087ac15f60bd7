"""Every way to solve a layer of many positions: one result, bounded memory, and no approximation in K-FAC's manner."""

import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from rbench import AvgPool2d, Conv2d, Flatten, Linear, ScaleShift, Tanh
from rbench.errors import CapacitanceError
from rbench.losses import get_loss
from rbench.methods.kronecker import gradient_covariance, input_covariance
from rbench.metrics import Batch, KroneckerMass, Problem, get_output_metric, layer_masses, pull_metric
from rbench.random import generator
from rbench.solvers import SOLVERS, LayerSize, NetworkSolver, check_health, choose_form
from rbench.solvers.base import formed_gradient
from rbench.solvers.gram import ByPositions
from rbench.solvers.planner import serves
from rbench.solvers.rows import ByChannels
from rbench.testing import _examples as examples
from rbench.testing import oracle, relative_error
from rbench.testing._networks import flat
from rbench.testing.case import native, native_targets

SEED, BATCH, RANK = 5, 4, 3
NETS = {
    "strides": Conv2d(2, 5, 3, stride=2, padding=1) >> Tanh() >> Conv2d(5, 3, 2) >> Flatten() >> Linear(6, 3),
    "no bias": Conv2d(2, 4, 2, bias=False) >> ScaleShift(4) >> AvgPool2d(2) >> Flatten() >> Linear(8, 3),
}
METRICS = {
    "ggn": ("cross_entropy", "ggn"),
    "ggn_mc": ("squared_error", "ggn_mc"),
    "identity": ("squared_error", "identity"),
    "true_vs_rest": ("cross_entropy", "true_vs_rest"),
    "empirical_fisher": ("squared_error", "empirical_fisher"),
}


@dataclass(frozen=True)
class Pulled:
    """A network's rows at every layer, and what the oracle says of its metrics without mass."""

    net: Any
    rows: Any
    metrics: list[np.ndarray]
    gradients: list[np.ndarray]


def pulled(backend, net, loss, metric, treatment="stack", size=BATCH):
    """A batch of images pulled back, on the backend and by the oracle."""
    rng = np.random.default_rng(SEED)
    params, x = examples.draw_params(net, rng), rng.normal(size=(size, 2, 5, 4))
    y = examples.draw_targets((size,), rng)[loss]
    noise = get_loss(loss).noise(generator(SEED, "samples"), size, RANK, 3).astype(backend.dtype)
    targets = native_targets(backend, get_loss(loss), y)
    problem, batch = Problem(backend, net, get_loss(loss)), Batch(backend.asarray(x), targets, noise)
    _, rows = pull_metric(problem, native(backend, params), batch, get_output_metric(metric, RANK), treatment)
    dense = oracle.Evaluation(net, params, (x,))
    outputs = oracle.output_metrics(metric, loss, dense.outputs, y, RANK, SEED)
    metrics = [oracle.layer_metric(j, outputs, np.zeros(j.shape[2]), treatment) for j in dense.jacobians]
    return Pulled(net, rows, metrics, dense.gradients(loss, y))


def forms(backend, rows, mass):
    """Every way to solve, by name."""
    found = {f"{n} channels": ByChannels("rows", n) for n in (1, 2, 3, 99)} | {"positions": ByPositions()}
    found |= {name: choose_form(name, backend, LayerSize.of(rows), mass) for name in SOLVERS if serves(name, mass)}
    return {name: form for name, form in found.items() if name != "positions" or serves("gram", mass)}


@pytest.mark.parametrize("treatment", ["stack", "mean"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["scalar", "pair", "full"])
@pytest.mark.parametrize("name", NETS)
def test_every_form_is_the_oracle_s_solution(name, kind, metric, treatment, backend):
    given = pulled(backend, NETS[name], *METRICS[metric], treatment)
    mass = oracle.draw_mass(kind, given.net.layers, np.random.default_rng(0))
    diagonals = oracle.mass_diagonals(mass, given.net.layers)
    masses = layer_masses(backend, given.net.layers, mass)
    assert any(rows.source.shape[1] > 1 for rows in given.rows)
    for layer, rows, entries, matrix, gradient, diagonal in zip(
        given.net.layers, given.rows, masses, given.metrics, given.gradients, diagonals, strict=True
    ):
        expected = np.linalg.solve(matrix + np.diag(diagonal), gradient)
        for name, form in forms(backend, rows, entries).items():
            found = form.direction(backend, rows, entries)
            block = layer.block(*found.weights, backend)
            assert np.isfinite(found.health), name
            assert relative_error([flat(block)], [expected]) <= 1e-10, (name, layer)
            assert found.slope() == pytest.approx(gradient @ expected, rel=1e-10), (name, layer)


@pytest.mark.parametrize("treatment", ["stack", "mean"])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["scalar", "pair", "full"])
@pytest.mark.parametrize("name", NETS)
def test_every_form_solves_for_the_gradient_of_other_data(name, kind, metric, treatment, backend):
    rng = np.random.default_rng(1)
    given = pulled(backend, NETS[name], *METRICS[metric], treatment)
    mass = oracle.draw_mass(kind, given.net.layers, np.random.default_rng(0))
    diagonals = oracle.mass_diagonals(mass, given.net.layers)
    masses = layer_masses(backend, given.net.layers, mass)
    for layer, rows, entries, matrix, diagonal in zip(
        given.net.layers, given.rows, masses, given.metrics, diagonals, strict=True
    ):
        # Weights alone, as layers are solved: those of a gain and an offset are the weights of one input.
        weight = rng.normal(size=(layer.fan_out, layer.fan_in))
        bias = rng.normal(size=layer.fan_out) if layer.bias else None
        gradient = np.concatenate([weight.ravel(), *([bias] if layer.bias else [])])
        expected = np.linalg.solve(matrix + np.diag(diagonal), gradient)
        for form_name, form in forms(backend, rows, entries).items():
            factored = form.factor(backend, rows, entries)
            assert sum(array.size for array in factored[:3]) <= form.cost(LayerSize.of(rows)).kept, form_name
            found = form.solve(
                backend, factored, rows.source, entries, formed_gradient(backend, (weight, bias), entries)
            )
            block = layer.block(*found.weights, backend)
            assert np.isfinite(found.health), form_name
            assert relative_error([flat(block)], [expected]) <= 1e-10, (form_name, layer)
            assert found.slope() == pytest.approx(gradient @ expected, rel=1e-10), (form_name, layer)


@pytest.mark.parametrize("metric", METRICS)
def test_all_solvers_agree_in_float32(metric, single):
    given = pulled(single, NETS["strides"], *METRICS[metric])
    masses = layer_masses(single, given.net.layers, 0.3)
    for layer, rows, mass, matrix, gradient in zip(
        given.net.layers, given.rows, masses, given.metrics, given.gradients, strict=True
    ):
        expected = np.linalg.solve(matrix + 0.3 * np.eye(len(matrix)), gradient)
        for name, form in forms(single, rows, mass).items():
            found = form.direction(single, rows, mass)
            block = layer.block(*found.weights, single)
            assert {array.dtype for array in block.values()} == {np.dtype(np.float32)}
            assert relative_error([flat(block)], [expected]) <= 1e-4, name


@pytest.mark.parametrize("name", ["1 channels", "99 channels", "positions", *SOLVERS])
def test_not_a_number_is_an_unhealthy_layer(name, backend):
    given = pulled(backend, NETS["strides"], *METRICS["ggn"])
    rows = given.rows[0]
    rows.cotangents[1, 0, 2, 1] = rows.cotangents[1, 1, 2, 1] = np.nan
    mass = KroneckerMass(0.3, 1.0, 1.0)
    form = forms(backend, rows, mass)[name]
    factored = form.factor(backend, rows, mass)
    solved = form.solve(backend, factored, rows.source, mass, formed_gradient(backend, rows.gradient(), mass))
    for found in (form.direction(backend, rows, mass), solved):
        with pytest.raises(CapacitanceError, match="layer 0 could not be factored"):
            check_health(np.array([found.health]))


@pytest.mark.parametrize("metric", ["ggn", "true_vs_rest"])
def test_the_gate_has_a_convolution_for_each_form(metric, backend):
    net = examples.example("strided images").net
    given = pulled(backend, net, *METRICS[metric], size=examples.BATCH)
    masses = layer_masses(backend, net.layers, 0.3)
    sizes = [LayerSize.of(rows) for rows in given.rows]
    chosen = [choose_form("gram", backend, *pair) for pair in zip(sizes, masses, strict=True)]
    assert [type(form) for form in chosen] == [ByChannels, ByPositions, ByPositions]
    assert chosen[0].channels == 4


def test_the_workspace_bounds_the_channels_at_once(backend):
    size, seen = LAYERS[1], set()
    for workspace in 2.0 ** np.arange(16, 40):
        chosen = choose_form("gram", backend, size, KroneckerMass(0.3, 1.0, 1.0), workspace)
        if isinstance(chosen, ByPositions):
            continue
        numbers = [8 * ByChannels("gram", chosen.channels + more).cost(size).numbers for more in (0, 1)]
        assert chosen.channels == 1 or numbers[0] <= workspace
        assert chosen.channels == size.fan_out or numbers[1] > workspace
        seen.add(chosen.channels)
    assert {1, size.fan_out} < seen


def peak_bytes(backend, net, shape, size, metric, workspace):
    """What a solve of the first layer held at most beyond its rows; and the size that it had."""
    rng, loss, chosen = np.random.default_rng(0), get_loss("cross_entropy"), get_output_metric(metric)
    x, y, noise = rng.normal(size=(size, *shape)), rng.integers(0, 10, size), rng.random((size, 1))
    _, rows = pull_metric(Problem(backend, net, loss), net.init(backend), Batch(x, y, noise), chosen, "stack")
    tracemalloc.start()
    try:
        NetworkSolver("gram", workspace).directions(backend, rows[:1], [KroneckerMass(0.3, 1.0, 1.0)])
        return LayerSize.of(rows[0]), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


WIDE = Conv2d(32, 64, 3, padding=1) >> AvgPool2d(8) >> Flatten() >> Linear(64, 10)
LARGE = Conv2d(1, 64, 3, padding=1) >> AvgPool2d(28) >> Flatten() >> Linear(64, 10)
SMALL = Conv2d(2, 8, 3) >> Flatten() >> Linear(32, 10)
MEMORY = {
    "many rows": (WIDE, (32, 8, 8), 8, "ggn", 4e6),
    "many rows, little room": (WIDE, (32, 8, 8), 8, "ggn", 1e6),
    "one row a datum": (WIDE, (32, 8, 8), 32, "ggn_mc", 1e6),
    "one row a datum, rescaled": (WIDE, (32, 8, 8), 32, "true_vs_rest", 1e6),
    "many positions": (LARGE, (1, 28, 28), 8, "ggn", 1e6),
    "all pairs of positions": (SMALL, (2, 4, 4), 16, "ggn_mc", 1e6),
}
"""Network, images, how many, output metric, and the workspace in bytes."""


@pytest.mark.parametrize("name", MEMORY)
def test_a_solve_keeps_to_its_workspace(name, backend):
    *given, workspace = MEMORY[name]
    size, peak = peak_bytes(backend, *given, workspace)
    # The workspace; K and what its factorisation takes; the gradient, the direction and its corrected cotangents.
    rest = 4 * size.rows**2 + 3 * size.n + size.examples * size.positions * size.fan_out
    assert peak <= workspace + 8 * rest


def test_a_solve_without_bound_holds_all_rows(backend):
    *given, workspace = MEMORY["many rows"]
    size, peak = peak_bytes(backend, *given, 1e12)
    assert peak > 8 * size.rows * size.n > 2 * workspace


LAYERS = [
    LayerSize(examples=64, positions=784, rank=9, fan_in=9, fan_out=16, bias=True),
    LayerSize(examples=64, positions=196, rank=9, fan_in=144, fan_out=32, bias=True),
    LayerSize(examples=64, positions=1, rank=9, fan_in=1568, fan_out=10, bias=True),
]
"""Of a network for images."""


def test_the_planner_keeps_every_layer_to_the_workspace(backend):
    names = [set() for _ in LAYERS]
    for size, chosen_names in zip(LAYERS, names, strict=True):
        for workspace in 2.0 ** np.arange(16, 40):
            chosen = choose_form("auto", backend, size, KroneckerMass(0.3, 1.0, 1.0), workspace)
            able = [form for name in ("gram", "rows", "dense") for form in SOLVERS[name](size, workspace / 8)]
            fitting = [form for form in able if 8 * form.cost(size).numbers <= workspace]
            figure = "operations" if fitting else "numbers"
            costs = [getattr(form.cost(size), figure) for form in fitting or able]
            assert getattr(chosen.cost(size), figure) == min(costs)
            assert not fitting or 8 * chosen.cost(size).numbers <= workspace
            chosen_names.add(chosen.name)
    assert names == [{"dense"}, {"gram"}, {"gram"}]


POSITIONS = {"one": Conv2d(2, 3, 4, stride=2) >> Flatten(), "two": Conv2d(2, 2, 4) >> Flatten() >> Linear(4, 3)}
"""Networks by how many positions their convolution has."""


@pytest.mark.parametrize("name", POSITIONS)
def test_a_product_of_sums_is_no_capacitance(name, backend):
    """Σ_tt' (a_t·a'_t')(δ_t·δ'_t') is (Σ_tt' a_t·a'_t')(Σ_tt' δ_t·δ'_t') for one position alone."""
    given = pulled(backend, POSITIONS[name], "squared_error", "identity")
    rows = given.rows[0]
    a = np.concatenate([rows.inputs, np.ones((*rows.inputs.shape[:2], 1))], axis=2)
    v = np.einsum("bkto,bti->bkoi", rows.factor_rows, a).reshape(len(a) * rows.factor_rows.shape[1], -1)
    inputs = a.sum(axis=1) @ a.sum(axis=1).T
    outputs = np.einsum("bkto,clso->bkcl", rows.factor_rows, rows.factor_rows)
    product = (outputs * inputs[:, None, :, None]).reshape(len(v), len(v))
    np.testing.assert_allclose(np.linalg.eigvalsh(v.T @ v), np.linalg.eigvalsh(given.metrics[0]), atol=1e-12)
    error = relative_error([product], [v @ v.T])
    assert error <= 1e-12 if name == "one" else error >= 0.1


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("sharing", ["expand", "reduce"])
def test_kronecker_factors_are_exact_for_one_datum_and_position(sharing, name, backend):
    """Even times the best number they are far from the metric where there are several positions."""
    given = pulled(backend, POSITIONS[name], "squared_error", "identity", size=1)
    a, g = (f(backend, given.rows[0], sharing) for f in (input_covariance, gradient_covariance))
    layer = given.net.layers[0]
    product = np.kron(g, a[: layer.fan_in, : layer.fan_in])
    metric = given.metrics[0][: len(product), : len(product)]
    best = (product * metric).sum() / (product * product).sum()
    error = relative_error([best * product], [metric])
    if name == "one":
        assert best == pytest.approx(1, rel=1e-12)
        assert error <= 1e-12
    else:
        assert error >= 0.1
