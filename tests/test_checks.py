"""What the public functions are given: refused by one of rbench's errors that names it, or taken, on every backend."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import rbench
from rbench import Linear
from rbench.errors import (
    BackendError,
    CapacitanceError,
    DtypeError,
    MassError,
    MetricError,
    NotFiniteError,
    ParameterError,
    RangeError,
    RbenchError,
    ShapeError,
    SolverError,
)

FUNCTIONS = (rbench.loss_gradient, rbench.riemannian_gradient, rbench.layer_metrics)
NET = Linear(4, 3)
X = np.random.default_rng(0).normal(size=(5, 4))
Y = np.array([0, 1, 2, 0, 1])


def with_one(value, shape=(5, 4), place=(1, 2), fill=0.5):
    array = np.full(shape, fill)
    array[place] = value
    return array


@pytest.fixture(scope="module", params=["numpy", "torch", "jax"])
def given(request):
    """Arguments that fit, on a backend."""
    if request.param != "numpy":
        pytest.importorskip(request.param)
    backend = rbench.get_backend(request.param, dtype="float64")
    return {"params": NET.init(backend), "x": X, "y": Y, "loss": "cross_entropy", "backend": backend}


def call(function, given, **changes):
    """The result, where warnings are errors: nothing may be dropped or cast on the way."""
    rest = {"net": NET, **given, **changes}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(rest.pop("net"), rest.pop("params"), rest.pop("x"), rest.pop("y"), **rest)


REAL = {"loss": "squared_error"}
SHARES = {"loss": "binary_cross_entropy"}
MASKED = np.ma.masked_greater(X, 0)
WRONG = {
    "a target above 1": (SHARES | {"y": with_one(1.5, (5, 3))}, RangeError, r"y has 1\.5 at \[1, 2\]; .* from 0 to 1"),
    "a target below 0": (SHARES | {"y": with_one(-1e-9, (5, 3))}, RangeError, r"y has -1e-09 at \[1, 2\]"),
    "a target NaN": (REAL | {"y": with_one(np.nan, (5, 3))}, RbenchError, r"y has nan at \[1, 2\]; give finite"),
    "NaN": ({"x": with_one(np.nan)}, RbenchError, r"x has nan at \[1, 2\]; give finite numbers"),
    "infinite": ({"x": with_one(-np.inf)}, RbenchError, r"x has -inf at \[1, 2\]"),
    "too large": ({"x": np.full((5, 4), np.longdouble("1e400"))}, RangeError, r"x has 1e\+400 at .*float64 can hold"),
    "masked": ({"x": MASKED}, DtypeError, "x is a masked array, .*leave out the rows"),
    "rows masked": ({"x": list(MASKED)}, DtypeError, "x is a masked array"),
    "masked labels": ({"y": np.ma.array(Y)}, DtypeError, "y is a masked array"),
    "ragged": ({"x": [[1.0, 2.0], [3.0]]}, DtypeError, r"x is list \[\[1\.0, 2\.0\], \[3\.0\]\], which cannot be read"),
    "complex": ({"x": X + 0j}, DtypeError, "x has dtype complex128"),
    "objects": ({"x": X.astype(object)}, DtypeError, "x has dtype object"),
    "dates": ({"x": np.zeros((5, 4), "M8[D]")}, DtypeError, r"x has dtype datetime64\[D\]"),
    "words": ({"x": [["1"] * 4] * 5}, DtypeError, "x is list .* dtype <U1"),
    "no inputs": ({"x": None}, DtypeError, "x is None"),
    "a set": ({"x": {1, 2}}, DtypeError, "x is set"),
    "no wires": ({"x": ()}, ShapeError, "x has shape"),
    "one number": ({"x": np.float64(3)}, ShapeError, r"x has shape \(\)"),
    "one label": ({"y": 3}, ShapeError, r"y has shape \(\)"),
    "labels in a column": ({"y": Y[:, None]}, ShapeError, r"y has shape \(5, 1\)"),
    "unsigned labels": ({"y": np.full(5, 2**64 - 1, np.uint64)}, ShapeError, "0 to 2; the first wrong label is 1844"),
    "no parameters": ({"params": None}, ParameterError, "params is None; give a tuple with one block per layer"),
    "one block": ({"params": {"weight": 1}}, ParameterError, r"params is \{.*; give a tuple with one block per layer"),
    "masked parameters": (
        {"params": ({"weight": np.ma.ones((3, 4)), "bias": np.ones(3)},)},
        DtypeError,
        "weight is MaskedArray, not an array of backend",
    ),
    "no network": ({"net": None}, ParameterError, r"net is None; give a module, such as Linear"),
    "a network's name": ({"net": "mlp"}, ParameterError, "net is 'mlp'"),
    "no loss": ({"loss": None}, MetricError, "no loss is called None"),
    "parameters as a matrix": (
        {"params": ({"weight": np.ones((3, 4)).view(np.matrix), "bias": np.ones(3)},)},
        DtypeError,
        "weight is matrix, not an array of backend",
    ),
    "parameters with odd shapes": (
        {"params": ({"weight": SimpleNamespace(shape=3), "bias": np.ones(3)},)},
        DtypeError,
        "weight is SimpleNamespace, not an array of backend",
    ),
    "a backend's class": ({"backend": rbench.backend.Backend}, BackendError, "backend is <class"),
    "no backend": ({"backend": None}, BackendError, "backend is None; give a name such as 'numpy'"),
    "a library": ({"backend": np}, BackendError, "backend is <module 'numpy'"),
}


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
@pytest.mark.parametrize("case", WRONG)
def test_what_does_not_fit_is_named(given, function, case):
    changes, error, words = WRONG[case]
    with pytest.raises(error, match=words):
        call(function, given, **changes)


def test_parameters_that_are_not_finite_are_named(given):
    (block,) = given["params"]
    bad = ({**block, "weight": given["backend"].asarray(with_one(np.nan, (3, 4)))},)
    for function, error in zip(FUNCTIONS, (NotFiniteError, CapacitanceError, NotFiniteError), strict=True):
        with pytest.raises(error, match=r"block 0 of Linear\(4, 3\): weight has nan at \[1, 2\]"):
            call(function, given, params=bad)


OPTIONS = {
    "a mass that is true": ({"mass": True}, MassError, "True is not a number"),
    "a mass that is NumPy's true": ({"mass": np.True_}, MassError, "is not a number"),
    "a mass in words": ({"mass": "0.1"}, MassError, "'0.1' is not a number"),
    "a complex mass": ({"mass": np.complex128(1)}, MassError, "is not a number"),
    "a mass true for a layer": ({"mass": [True]}, MassError, "mass of layer 0: True is not a number"),
    "complex masses": ({"mass": [np.ones((3, 5)) + 0j]}, MassError, "mass of layer 0 has dtype complex128"),
    "masked masses": ({"mass": [np.ma.ones((3, 5))]}, MassError, "mass of layer 0 is a masked array"),
    "boolean masses": ({"mass": [np.ones((3, 5), bool)]}, MassError, "holds booleans"),
    "masses in words": ({"mass": [np.full((3, 5), "1")]}, MassError, "dtype <U1"),
    "a complex metric": ({"output_metric": np.eye(3) * (1 + 1j)}, MetricError, "output metric has dtype complex128"),
    "a masked metric": ({"output_metric": np.ma.array(np.eye(3))}, MetricError, "output metric is a masked array"),
    "a boolean metric": ({"output_metric": np.eye(3, dtype=bool)}, MetricError, "holds booleans"),
    "a seed that is true": ({"seed": True}, ParameterError, "seed is True; give an integer of at least 0"),
    "a seed in words": ({"seed": "1"}, ParameterError, "seed is '1'"),
    "a seed below 0": ({"seed": -1}, ParameterError, "seed is -1"),
    "a rank that is true": ({"rank": True}, MetricError, "rank is True"),
    "a rank beyond memory": ({"rank": 10**30}, MetricError, f"rank is {10**30}; .* at most 2147483647"),
    "a mass beyond floats": ({"mass": 10**400}, MassError, "1000.* is not positive and finite in float64"),
    "a mass below floats": ({"mass": 1e-320}, MassError, "1e-320 is not positive and finite in float64"),
    "masses below floats": ({"mass": [np.full((3, 5), 1e-320)]}, MassError, "smallest entry is 1e-320 .* in float64"),
    "no solver of that name": ({"solver": "dens"}, SolverError, r"no solver is called 'dens' \(did you mean 'dense'"),
    "a solver for another mass": ({"solver": "gram", "mass": [np.ones((3, 5))]}, SolverError, "'gram' needs a scalar"),
    "two treatments": ({"batch": np.array(["stack", "mean"])}, MetricError, "batch is array"),
}


@pytest.mark.parametrize("function", FUNCTIONS[1:], ids=lambda function: function.__name__)
@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_do_not_fit_are_named(given, function, case):
    changes, error, words = OPTIONS[case]
    with pytest.raises(error, match=words):
        call(function, given, **changes)


SAME = {
    "another byte order": {"x": X.astype(">f8"), "y": Y.astype(">i4")},
    "long double": {"x": X.astype(np.longdouble)},
    "reversed": {"x": X[::-1][::-1, ::-1][:, ::-1]},
    "columns first": {"x": np.asfortranarray(X)},
    "unsigned labels": {"y": Y.astype(np.uint8)},
    "lists": {"x": X.tolist(), "y": Y.tolist()},
    "integers of NumPy": {"seed": np.int32(0), "rank": np.int64(1), "mass": np.float64(0.1)},
}


@pytest.mark.parametrize("case", SAME)
def test_what_says_the_same_gives_the_same(given, case):
    options = {key: value for key, value in SAME[case].items() if key not in ("x", "y")}
    data = {key: value for key, value in SAME[case].items() if key in ("x", "y")}
    (one,), (other,) = (call(rbench.riemannian_gradient, given, **change) for change in ({}, {**data, **options}))
    for name in one:
        np.testing.assert_array_equal(given["backend"].to_numpy(one[name]), given["backend"].to_numpy(other[name]))


def test_data_of_pandas_are_read(given):
    pandas = pytest.importorskip("pandas")
    (one,), (other,) = (
        call(rbench.loss_gradient, given, **change)
        for change in ({}, {"x": pandas.DataFrame(X), "y": pandas.Series(Y)})
    )
    assert (given["backend"].to_numpy(one["weight"]) == given["backend"].to_numpy(other["weight"])).all()
    with pytest.raises(DtypeError, match="x is DataFrame, and so has dtype object"):
        call(rbench.loss_gradient, given, x=pandas.DataFrame({"a": ["b"] * 5}))


def test_a_sparse_matrix_is_refused(given):
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DtypeError, match=r"x is csr_matrix, .*dense array"):
        call(rbench.loss_gradient, given, x=sparse.csr_matrix(X))


@pytest.mark.parametrize("kind", ["sparse", "meta", "quantized"])
def test_tensors_of_torch_without_plain_numbers_are_refused(given, kind):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, of quantized tensors
        tensor = {
            "sparse": lambda: torch.ones(5, 4, dtype=torch.float64).to_sparse(),
            "meta": lambda: torch.ones(5, 4, dtype=torch.float64, device="meta"),
            "quantized": lambda: torch.quantize_per_tensor(torch.ones(5, 4), 0.1, 0, torch.quint8),
        }[kind]()
    for function in FUNCTIONS:
        with pytest.raises(DtypeError, match="x is "):
            call(function, given, x=tensor)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_arrays_of_other_libraries_are_read_as_data_and_refused_as_parameters(given, library):
    module = pytest.importorskip("jax.numpy" if library == "jax" else library)
    x, y = (module.asarray(array) for array in (X.round(1), Y))
    (one,), (other,) = (call(rbench.loss_gradient, given, **change) for change in ({"x": X.round(1)}, {"x": x, "y": y}))
    # JAX has 32 bits, unless a backend of its own is there.
    np.testing.assert_allclose(*(given["backend"].to_numpy(block["weight"]) for block in (one, other)), rtol=1e-6)
    if library != given["backend"].name:
        foreign = ({"weight": module.asarray(np.ones((3, 4))), "bias": module.asarray(np.ones(3))},)
        with pytest.raises(DtypeError, match=f"not an array of backend '{given['backend'].name}'; bring it there"):
            call(rbench.loss_gradient, given, params=foreign)


def test_a_sparse_parameter_is_refused():
    torch = pytest.importorskip("torch")
    backend = rbench.get_backend("torch")
    (block,) = NET.init(backend)
    params = ({**block, "weight": torch.ones(3, 4).to_sparse()},)
    with pytest.raises(DtypeError, match="weight is Tensor, which cannot be read as an array"):
        rbench.loss_gradient(NET, params, X, Y, loss="cross_entropy", backend=backend)


@pytest.mark.parametrize("options", [{"mass": 1e300}, {"mass": 1e-50}, {"mass": [np.full((3, 5), 1e300)]}])
def test_a_mass_is_judged_in_the_dtype(options):
    params = NET.init("numpy")
    for function in FUNCTIONS[1:]:
        with pytest.raises(MassError, match="positive and finite in float32"):
            function(NET, params, X, Y, loss="cross_entropy", backend="numpy", **options)


def test_an_output_metric_is_judged_in_the_dtype():
    params = NET.init("numpy")
    with pytest.raises(MetricError, match="float32 cannot hold"):
        rbench.layer_metrics(NET, params, X, Y, loss="cross_entropy", backend="numpy", output_metric=1e80 * np.eye(3))


def test_a_gradient_can_be_part_of_a_function_that_jax_traces():
    jax = pytest.importorskip("jax")
    backend = rbench.get_backend("jax")
    params = NET.init(backend)

    def gradient(params, x):
        return rbench.loss_gradient(NET, params, x, Y, loss="cross_entropy", backend=backend)

    x = backend.asarray(X)
    plain = gradient(params, x)
    for traced in (jax.jit(gradient)(params, x), jax.jit(lambda x: gradient(params, x))(x)):
        for name in ("weight", "bias"):
            np.testing.assert_allclose(traced[0][name], plain[0][name], rtol=1e-5, atol=1e-7)


def test_a_tensor_with_a_gradient_is_read_by_its_own_backend():
    torch = pytest.importorskip("torch")
    backend = rbench.get_backend("torch", dtype="float64")
    x = torch.tensor(X, requires_grad=True)
    (block,) = rbench.loss_gradient(NET, NET.init(backend), x, Y, loss="cross_entropy", backend=backend)
    assert not block["weight"].requires_grad
    with pytest.raises(DtypeError, match=r"x is Tensor, .*requires grad"):
        rbench.loss_gradient(NET, NET.init("numpy"), x, Y, loss="cross_entropy", backend="numpy")


class TestNames:
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_a_backend_may_be_named_and_takes_the_dtype_of_the_parameters(self, given, dtype):
        name = given["backend"].name
        params = NET.init(rbench.get_backend(name, dtype=dtype))
        (block,) = call(rbench.riemannian_gradient, given, params=params, backend=name)
        assert str(block["weight"].dtype).endswith(dtype)

    def test_parameters_are_drawn_on_a_named_backend_in_float32(self):
        (block,) = NET.init("numpy")
        assert block["weight"].dtype == np.float32

    @pytest.mark.parametrize(
        ("arguments", "error", "words"),
        [
            ((None,), BackendError, "backend is None"),
            (("numpy", True), ParameterError, "seed is True"),
            (("numpy", -1), ParameterError, "seed is -1"),
            (("numpy", "0"), ParameterError, "seed is '0'"),
        ],
    )
    def test_what_init_does_not_take(self, arguments, error, words):
        with pytest.raises(error, match=words):
            NET.init(*arguments)

    @pytest.mark.parametrize("dtype", [np.float64, np.dtype("f8"), np.dtype(">f8"), SimpleNamespace(name="float64")])
    def test_a_dtype_may_be_an_object(self, dtype):
        assert rbench.get_backend("numpy", dtype=dtype).dtype == "float64"

    def test_a_dtype_may_be_torchs(self):
        torch = pytest.importorskip("torch")
        made = rbench.get_backend("torch", dtype=torch.float64, device=torch.device("cpu"))
        assert (made.dtype, made.device) == ("float64", "cpu")

    @pytest.mark.parametrize(
        ("name", "options", "words"),
        [
            ("numpy", {"device": 3}, "has no device '3'; choose one of cpu"),
            ("numpy", {"device": True}, "has no device 'True'"),
            ("numpy", {"dtype": float}, "has no dtype 'float'; choose one of float32, float64"),
            ("numpy", {"dtype": 32}, "has no dtype"),
            ("numpy", {"dtype": None}, "has no dtype"),
            (None, {}, "backend is None; give its name"),
            (np, {}, "backend is <module"),
        ],
    )
    def test_what_get_backend_does_not_take(self, name, options, words):
        with pytest.raises(BackendError, match=words):
            rbench.get_backend(name, **options)
