"""Tasks: their data fit their networks, are the same every time, and are what the formulas say."""

import os
import tracemalloc
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import rbench.tasks
import rbench_numpy
from helpers.command import loaded
from rbench.errors import SpecError
from rbench.losses import get_loss
from rbench.metrics import Batch, Problem
from rbench.modules import Linear
from rbench.plugins import Plugins
from rbench.spec import parse
from rbench.tasks import Dataset, Target, Task, rbench_tasks
from rbench.tasks.autoencoder import MnistAutoencoder
from rbench.tasks.deep_linear import DeepLinear
from rbench.tasks.digits import Digits
from rbench.tasks.lanczos import Lanczos
from rbench.tasks.mnist import Mnist
from rbench.tasks.poisson import Poisson
from rbench.tasks.regression import Regression
from rbench.tasks.teacher_student import TeacherStudent
from rbench.tasks.two_spirals import TwoSpirals

TASKS = {task.name: task for task in rbench_tasks() if task.name != "npz"}  # whose data are a user's
SYNTHETIC = [Regression, TeacherStudent, DeepLinear, TwoSpirals]
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def mnist_root():
    """The first folder that holds MNIST, of the user's and the one beside the repository."""
    for root in filter(None, (os.environ.get("RBENCH_DATA"), SHARED)):
        if any(found for folder in ("", "mnist/") for found in Path(root).glob(f"{folder}t10k-labels-idx1-ubyte*")):
            return str(root)
    return None


MNIST_ROOT = mnist_root()
needs_mnist = pytest.mark.skipif(MNIST_ROOT is None, reason="no MNIST in RBENCH_DATA or ../shared/data")
# CIFAR-10 is too large to have at hand, and Fashion-MNIST need not be: their own tests write small ones.
every_task = pytest.mark.parametrize(
    "task",
    [
        pytest.param(t(), id=n, marks=[needs_mnist] if n.startswith("mnist") else [])
        for n, t in TASKS.items()
        if n not in ("cifar10", "fashion-mnist")
    ],
)


@pytest.fixture(autouse=True)
def _local_mnist(monkeypatch):
    if MNIST_ROOT is not None:
        monkeypatch.setenv("RBENCH_DATA", MNIST_ROOT)


@cache
def data_of(task):
    return task.dataset()


def make(spec):
    name, settings = parse(spec)
    (task,) = TASKS[name].expand(settings)
    return task


class Counted(Task):
    """Data that are their own indices; the test set's begin at 100."""

    name = "counted"
    summary = "for tests"
    loss = "squared_error"
    epochs = 1
    batch_size: int = 4

    def network(self):
        return Linear(1, 1)

    def load(self, allow_unofficial):
        train, test = np.arange(12.0)[:, None], 100 + np.arange(5.0)[:, None]
        return Dataset(train, 2 * train, test, 2 * test, "sum", not allow_unofficial)


def test_the_tasks_are_registered_by_the_hook():
    plugins = Plugins()
    plugins.manager.register(rbench.tasks)
    assert set(plugins.registered("tasks")) == {
        *("digits", "mnist", "fashion-mnist", "mnist-autoencoder", "cifar10"),
        *("regression", "teacher-student", "deep-linear", "two-spirals", "lanczos", "poisson", "npz"),
    }


def test_import_loads_nothing_heavy():
    assert loaded("import rbench.tasks") & {"sklearn", "pooch", "requests", "scipy", "pandas"} == set()


@every_task
def test_data_fit_the_network(task):
    data, loss = data_of(task), get_loss(task.loss)
    ((d,),) = task.network().out_space((data.x_train.shape[1:],))
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert len(x) == len(y) > 0
        assert x.dtype in (np.float32, np.float64)
        assert np.isfinite(x).all()
        if loss.integer_targets:
            assert y.dtype == np.int64
            assert set(np.unique(y)) == set(range(d))
        else:
            assert y.dtype == x.dtype
            assert y.shape == (len(x), d)
    assert data.x_train.shape[1:] == data.x_test.shape[1:]
    assert data.official is (True if task.name.startswith("mnist") else None)
    assert (task.batch_size or 1) <= len(data.x_train)


@every_task
def test_data_are_the_same_at_every_call(task):
    first, second = data_of(task), task.dataset()
    assert len(first.sha256) == 64
    assert first.sha256 == second.sha256
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@every_task
def test_gradient_is_the_loss_slope(task):
    """Along its own gradient g, E grows at the rate ‖g‖² > 0: data, loss and network belong together."""
    backend = rbench_numpy.rbench_backends()[0].create("float64", None)
    data, net, loss = data_of(task), task.network(), get_loss(task.loss)
    rows = slice(0, min(task.batch_size or 32, 32))
    x = (backend.asarray(data.x_train[rows]),)
    y = backend.labels(data.y_train[rows]) if loss.integer_targets else backend.asarray(data.y_train[rows])
    params = net.init(backend, seed=0)
    problem, batch = Problem(backend, net, loss), Batch(x, y)
    _, gradient = problem.gradient(params, batch)
    square = sum(float((array**2).sum()) for block in gradient for array in block.values())
    assert 0 < square < np.inf

    def moved(h):
        steps = zip(params, gradient, strict=True)
        at = tuple({key: block[key] + h * slope[key] for key in block} for block, slope in steps)
        return float(problem.gradient(at, batch)[0])

    h = 1e-4 / np.sqrt(square)
    np.testing.assert_allclose((moved(h) - moved(-h)) / (2 * h), square, rtol=1e-5)


def test_validation_splits_the_training_set_and_leaves_the_test_set_alone():
    data = Counted(validation=True).dataset()
    train, test = data.x_train[:, 0], data.x_test[:, 0]
    assert len(test) == 2
    assert sorted([*train, *test]) == list(range(12))
    np.testing.assert_array_equal(data.y_train, 2 * data.x_train)
    np.testing.assert_array_equal(data.y_test, 2 * data.x_test)
    assert (data.sha256, data.official) == ("sum", True)
    np.testing.assert_array_equal(Counted().dataset().x_test[:, 0], 100 + np.arange(5))


def test_unofficial_data_are_asked_for():
    assert Counted().dataset(allow_unofficial=True).official is False


@pytest.mark.parametrize("task", SYNTHETIC)
def test_the_data_seed_and_the_sizes_make_the_data(task):
    base, other = task().dataset(), task(data_seed=1).dataset()
    assert base.sha256 != other.sha256
    assert not np.isin(other.x_train[:, 0], base.x_train[:, 0]).any()
    assert not np.isin(base.x_test[:, 0], base.x_train[:, 0]).any()
    larger = task(n_test=base.x_test.shape[0] + 7).dataset()
    np.testing.assert_array_equal(larger.x_train, base.x_train)
    np.testing.assert_array_equal(larger.y_train, base.y_train)
    assert len(larger.x_test) == len(base.x_test) + 7


@pytest.mark.parametrize(
    "spec",
    [
        "mnist[hidden=[32,16]]",
        "mnist-autoencoder[batch_size=100,hidden=[50,3,50]]",
        "digits[validation=true,hidden=[32],activation=relu]",
        "two-spirals[n_train=500,turns=2.5,hidden=[32,32]]",
        "regression[data_seed=3,features=7,condition=10,noise=0]",
        "teacher-student[teacher=[4,4],hidden=[16]]",
        "deep-linear[depth=2,width=5]",
        "lanczos[terms=4]",
        "lanczos[batch_size=24]",
        "poisson[dimension=3,hidden=[16,8],boundary=20]",
        "digits[batch_size=none]",
    ],
)
def test_specs_round_trip(spec):
    task = make(spec)
    assert task.spec == spec
    assert make(task.spec) == task
    assert task != TASKS[task.name]()


def test_lists_of_sizes_make_several_tasks():
    name, settings = parse("digits[hidden=[[32],[64,16]]]")
    assert [task.hidden for task in TASKS[name].expand(settings)] == [(32,), (64, 16)]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("regression[condition=0.5]", "condition=0.5: .*greater than or equal to 1"),
        ("regression[noise=-1]", "noise=-1: .*greater than or equal to 0"),
        ("regression[batch_size=200,n_train=100]", "batch_size=200 is more than n_train=100; lower it"),
        ("poisson[hidden=[[]]]", "at least 1 item"),
        ("poisson[boundary=0]", "boundary=0: .*greater than or equal to 1"),
        ("two-spirals[turns=0]", "turns=0: .*greater than 0"),
        ("mnist[hidden=[16,0]]", "greater than 0"),
        ("mnist-autoencoder[hidden=[[]]]", "at least 1 item"),
        ("digits[activation=softmax]", "activation='softmax': .*'tanh', 'relu'"),
        ("digits[batch_size=0]", "batch_size=0: .*greater than 0"),
        ("digits[width=3]", "no setting 'width'; its settings are: batch_size, validation, hidden, activation"),
    ],
)
def test_bad_settings_are_refused(spec, words):
    with pytest.raises(SpecError, match=words):
        make(spec)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Counted(batch_size=13), "batch_size=13 is more than the 12 training data; lower it"),
        (Counted(batch_size=11, validation=True), "batch_size=11 is more than the 10 training data that validation"),
        (
            Lanczos(batch_size=24, validation=True),
            "batch_size=24 is more than the 20 training data that validation",
        ),
    ],
)
def test_a_batch_that_is_larger_than_the_data_is_refused(task, words):
    with pytest.raises(SpecError, match=words):
        task.dataset()


def test_digits_are_split_once_and_for_all():
    data = Digits().dataset()
    assert (data.x_train.shape, data.x_test.shape) == ((1437, 64), (360, 64))
    assert data.x_train.dtype == np.float32
    levels = np.unique(np.concatenate([data.x_train, data.x_test]) * 16)
    np.testing.assert_array_equal(levels, np.arange(17))
    from sklearn.datasets import load_digits

    rows = np.concatenate([data.x_train, data.x_test]) * 16
    order = np.lexsort(rows.T)
    images = load_digits().data
    np.testing.assert_array_equal(rows[order], images[np.lexsort(images.T)])
    assert np.bincount(data.y_test).min() > 20


@needs_mnist
def test_mnist_is_the_published_one():
    data = data_of(Mnist())
    assert (data.x_train.shape, data.x_test.shape) == ((60000, 784), (10000, 784))
    assert data.official is True
    assert data.x_train.dtype == np.float32
    assert (data.x_train.min(), data.x_train.max()) == (0, 1)
    assert np.bincount(data.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    np.testing.assert_allclose(data.x_train.mean(dtype=np.float64), 0.1307, atol=5e-5)


@needs_mnist
def test_the_autoencoder_reproduces_the_same_images():
    data, images = data_of(MnistAutoencoder()), data_of(Mnist())
    np.testing.assert_array_equal(data.y_train, images.x_train)
    np.testing.assert_array_equal(data.y_test, images.x_test)
    assert data.sha256 == images.sha256


def test_regression_is_linear_and_as_ill_conditioned_as_asked():
    clean = make("regression[n_train=20000,n_test=200,features=6,condition=1000,noise=0]").dataset()
    weight = np.linalg.lstsq(clean.x_train, clean.y_train, rcond=None)[0]
    np.testing.assert_allclose(clean.x_test @ weight, clean.y_test, atol=1e-9)
    np.testing.assert_allclose(np.linalg.cond(clean.x_train) ** 2, 1000, rtol=0.1)
    noisy = make("regression[n_train=20000,features=6,condition=1000,noise=0.3]").dataset()
    residual = noisy.y_train - noisy.x_train @ np.linalg.lstsq(noisy.x_train, noisy.y_train, rcond=None)[0]
    np.testing.assert_allclose(residual.std(), 0.3, rtol=0.02)


def test_the_teachers_outputs_have_unit_variance_and_are_not_linear():
    data = TeacherStudent().dataset()
    np.testing.assert_allclose(data.y_train.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(data.y_train.std(axis=0), 1, rtol=0.1)
    fit = np.linalg.lstsq(data.x_train, data.y_train, rcond=None)[0]
    assert (data.y_test - data.x_test @ fit).std() > 0.2


@pytest.mark.parametrize(("features", "outputs"), [(6, 4), (3, 5)])
def test_the_deep_linear_map_has_the_spectrum(features, outputs):
    data = DeepLinear(features=features, outputs=outputs, condition=1000.0).dataset()
    fitted = np.linalg.lstsq(data.x_train, data.y_train, rcond=None)[0]
    np.testing.assert_allclose(data.x_test @ fitted, data.y_test, atol=1e-10)
    rank = min(features, outputs)
    values = np.linalg.svd(fitted, compute_uv=False)[:rank]
    np.testing.assert_allclose(values, 10.0 ** (-3 * np.arange(rank) / (rank - 1)), rtol=1e-8)


def test_the_deep_linear_network_has_its_depth():
    layers = DeepLinear(depth=3, width=7).network().layers
    assert list(layers) == [Linear(20, 7), Linear(7, 7), Linear(7, 10)]
    assert list(DeepLinear(depth=1).network().layers) == [Linear(20, 10)]


def test_spirals_wind_as_the_formula_says():
    data = TwoSpirals(noise=0.0, turns=2.0).dataset()
    radius = np.linalg.norm(data.x_train, axis=1)
    assert radius.max() <= 1
    angle = np.arctan2(data.x_train[:, 1], data.x_train[:, 0])
    phase = angle - 4 * np.pi * radius - np.pi * data.y_train
    np.testing.assert_allclose(np.cos(phase), 1, atol=1e-9)
    assert np.bincount(data.y_train).tolist() == [500, 500]


def test_lanczos_is_nists():
    """The first three of NIST's 24 values, and a network that has the true parameters fits them all."""
    data, backend = Lanczos().dataset(), rbench_numpy.rbench_backends()[0].create("float64", None)
    np.testing.assert_allclose(data.x_train[:, 0], 0.05 * np.arange(24), atol=1e-15)
    np.testing.assert_allclose(data.y_train[:3, 0], [2.513400000000, 2.044333373291, 1.668404436564], atol=5e-13)
    truth = (
        {"weight": np.array([[-1.0], [-3.0], [-5.0]])},
        {"weight": np.array([[0.0951, 0.8607, 1.5576]])},
    )
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        np.testing.assert_allclose(Lanczos().network().apply(backend, truth, x), y, atol=1e-14)
    np.testing.assert_allclose(data.x_test[:, 0], 0.025 + 0.05 * np.arange(23), atol=1e-15)


def test_targets():
    evaluation = {"test_accuracy": 0.9, "test_squared_error": 0.2, "test_loss": None}
    assert Target("test_accuracy", 0.9).reached(evaluation)
    assert not Target("test_accuracy", 0.91).reached(evaluation)
    assert Target("test_squared_error", 0.2).reached(evaluation)
    assert not Target("test_squared_error", 0.19).reached(evaluation)
    assert not Target("test_loss", 1.0).reached(evaluation)


@pytest.mark.parametrize(
    "task",
    [
        Digits(),
        Regression(n_train=300, features=40, outputs=7),
        Regression(n_train=2, n_test=1, batch_size=1, features=300),
        DeepLinear(n_train=300, features=30, outputs=40),
        DeepLinear(n_train=2, n_test=1, batch_size=1, outputs=300),
        TeacherStudent(n_train=300, teacher=(50, 60)),
        TeacherStudent(n_train=2, n_test=1, batch_size=1, features=200),
        TwoSpirals(n_train=5000),
        Lanczos(n_train=5000),
        Poisson(n_test=5000),
        Poisson(dimension=9),
    ],
    ids=lambda task: task.spec,
)
def test_the_bytes_of_the_data_are_told_before_they_are_made(task):
    told = task.data_bytes()
    tracemalloc.start()
    try:
        data = task.load(False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(array.nbytes for array in (data.x_train, data.y_train, data.x_test, data.y_test)) <= told <= peak


def test_a_task_that_does_not_know_its_bytes_says_so():
    assert Task.data_bytes(Digits()) is None
    assert all(task().data_bytes() for task in TASKS.values())
