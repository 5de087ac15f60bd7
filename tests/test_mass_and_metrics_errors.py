"""Masses and output metrics that do not fit are errors that say what came and what would do."""

import numpy as np
import pytest

import rbench
from rbench import Linear, Tanh
from rbench.errors import DtypeError, MassError, MetricError, ParameterError, RbenchError, SolverError
from rbench.metrics import get_output_metric
from rbench.plugins import plugins

ONE = Linear(4, 3)
TWO = Linear(4, 3) >> Tanh() >> Linear(3, 3, bias=False)


@pytest.fixture(params=[rbench.riemannian_gradient, rbench.layer_metrics], ids=lambda function: function.__name__)
def call(request, backend, rng):
    """A public function on random data, given the network and what is to be wrong."""
    x, labels = rng.normal(size=(5, 4)), rng.integers(0, 3, 5)

    def run(net=ONE, loss="cross_entropy", **options):
        y = labels if loss == "cross_entropy" else np.eye(3)[labels]
        return request.param(net, net.init(backend), x, y, loss=loss, backend=backend, **options)

    return run


def spoiled(shape, value):
    array = np.ones(shape)
    array.flat[-1] = value
    return array


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "form",
    [
        lambda value: value,
        lambda value: [value],
        lambda value: [(np.ones(3), spoiled(5, value))],
        lambda value: [(spoiled(3, value), np.ones(5))],
        lambda value: [spoiled((3, 5), value)],
        lambda value: [spoiled(15, value)],
        lambda value: [{"weight": spoiled((3, 4), value), "bias": np.ones(3)}],
        lambda value: [{"weight": np.ones((3, 4)), "bias": spoiled(3, value)}],
    ],
    ids=["scalar", "list", "column", "row", "full", "flat", "weight", "bias"],
)
def test_a_mass_is_positive_and_finite(form, value, call):
    with pytest.raises(MassError, match=r"mass.* positive and finite"):
        call(mass=form(value))


@pytest.mark.parametrize(
    ("mass", "words"),
    [
        ([np.ones((5, 3))], r"layer 0: shape \(5, 3\); .* shape \(3, 5\)"),
        ([np.ones(14)], r"layer 0: shape \(14,\); .* shape \(3, 5\)"),
        ([np.ones((3, 5, 1))], r"layer 0: shape \(3, 5, 1\)"),
        ([(np.ones(3), np.ones(4))], r"layer 0: the pair has .*3.* and .*4.*; give \(3,\) and \(5,\)"),
        ([(np.ones(5), np.ones(3))], r"layer 0: the pair has .*5.* and .*3.*; give \(3,\) and \(5,\)"),
        ([{"weight": np.ones((3, 4))}], "layer 0.*bias"),
        ([{"weight": np.ones((2, 4)), "bias": np.ones(3)}], "layer 0.*weight"),
        ([{"weight": np.ones((3, 4)), "bias": np.ones(2)}], "layer 0.*bias"),
        ([[0.1, [0.2], 0.3]], "layer 0"),
        ([0.1, 0.2], "2 entries for 1 layers"),
        ([], "0 entries for 1 layers"),
        ((np.ones(3), np.ones(5)), "2 entries for 1 layers"),
        (np.ones((3, 5)), "one float, or a list with one entry for each layer"),
        ({"weight": np.ones((3, 4)), "bias": np.ones(3)}, "one float, or a list with one entry for each layer"),
        ("heavy", "'heavy' is not a number"),
        (None, "None is not a number"),
        (["heavy"], "layer 0: 'heavy' is not a number"),
    ],
)
def test_a_mass_fits_the_layers(mass, words, call):
    with pytest.raises(MassError, match=words):
        call(mass=mass)


def test_a_mass_of_another_layer_is_named(call):
    with pytest.raises(MassError, match=r"mass of layer 1: shape \(3, 4\)"):
        call(TWO, mass=[0.1, np.ones((3, 4))])


@pytest.mark.parametrize("matrix", [np.diag([1.0, 2.0, -0.5]), np.diag([1.0, -0.5, -0.25]), -0.5 * np.eye(3)])
def test_a_matrix_that_is_not_positive_definite(matrix, call):
    with pytest.raises(MetricError, match=r"not positive definite, its smallest eigenvalue is -0\.5"):
        call(output_metric=matrix)


def test_singular_matrices_are_refused_or_factored(rng):
    """Rounding decides whether a singular matrix passes; either way the error is one of rbench's."""
    refused = 0
    for _ in range(300):
        root = rng.normal(size=(4, 3))
        try:
            fixed = get_output_metric(root @ root.T)
        except MetricError as error:
            assert "smallest eigenvalue" in str(error)  # noqa: PT017 -- some of the matrices pass
            refused += 1
        else:
            np.testing.assert_allclose(fixed.dense(None, None, None, None), root @ root.T, atol=1e-12)
    assert refused > 100


def test_a_matrix_symmetric_to_rounding_is_taken(rng):
    basis = np.linalg.qr(rng.normal(size=(20, 20)))[0].astype("f4")
    matrix = (basis * np.linspace(1, 2, 20, dtype="f4")) @ basis.T
    assert (matrix != matrix.T).any()
    np.testing.assert_allclose(get_output_metric(matrix).dense(None, None, None, None), matrix, atol=1e-5)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        (np.array([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]]), r"not symmetric; give \(A \+ Aᵀ\)/2"),
        (np.eye(4), "matrix is 4 by 4, but the network has 3 outputs"),
        (np.ones((3, 2)), r"shape \(3, 2\)"),
        (np.ones(3), r"shape \(3,\)"),
        (np.diag([1, 1, np.nan]), "finite"),
        (None, r"\(d, d\) matrix"),
        (
            "fisher",
            "no output metric is called 'fisher'; there are: " + ", ".join(plugins().registered("output_metrics")),
        ),
    ],
)
def test_output_metrics_that_do_not_fit(metric, words, call):
    with pytest.raises(MetricError, match=words):
        call(output_metric=metric)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"loss": "squared_error", "output_metric": "true_vs_rest"},
            r"needs class labels, but .* 'squared_error'",
        ),
        ({"loss": "hinge"}, "no loss is called 'hinge'; there are: binary_cross_entropy, cross_entropy, squared_error"),
        ({"batch": "sum"}, "batch is 'sum'; choose 'stack' or 'mean'"),
        ({"output_metric": "ggn_mc", "rank": 0}, "rank is 0; give an integer of at least 1"),
        ({"output_metric": "ggn_mc", "rank": 1.5}, r"rank is 1\.5"),
        ({"output_metric": "ggn_mc", "rank": True}, "rank is True"),
    ],
)
def test_choices_that_do_not_exist(options, words, call):
    with pytest.raises(MetricError, match=words):
        call(**options)


@pytest.mark.parametrize("name", [name for name in vars(rbench.errors) if name.endswith("Error")])
def test_every_error_has_the_one_base(name):
    if name != "RbenchError":
        assert issubclass(getattr(rbench.errors, name), RbenchError)


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"seed": -1, "output_metric": "ggn_mc"}, ParameterError, "seed is -1; give an integer of at least 0"),
        ({"output_metric": np.zeros((0, 0))}, MetricError, r"give a finite \(d, d\) matrix"),
        ({"loss": ["cross_entropy"]}, MetricError, "no loss is called"),
        ({"solver": ["gram"]}, SolverError, "no solver is called"),
        ({"params": (None,)}, ParameterError, "has None; it needs"),
        ({"params": ({"weight": [[1.0]], "bias": [0.0]},)}, DtypeError, "weight is list, not an array of backend"),
        ({"net": Tanh(), "params": ()}, ParameterError, "no layer with weights"),
    ],
)
def test_bad_arguments_are_named(backend, changed, error, words):
    net = Linear(2, 3)
    given = {"net": net, "params": net.init(backend), "loss": "cross_entropy", "backend": backend, **changed}
    x, y = np.ones((4, 2)), np.array([0, 1, 2, 0])
    with pytest.raises(error, match=words):
        rbench.riemannian_gradient(given.pop("net"), given.pop("params"), x, y, **given)
