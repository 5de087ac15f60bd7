"""A task's data: refused where they do not fit, before training, and taken in whatever layout they come."""

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest

from helpers.faults import cell
from helpers.registered import registered
from rbench import Linear
from rbench.errors import DataError, RbenchError
from rbench.run.worker import run_cell
from rbench.tasks import Dataset, Task, fingerprint
from rbench.tasks.dataset import checksum

RNG = np.random.default_rng(0)
X, X_TEST = RNG.normal(size=(12, 4)), RNG.normal(size=(6, 4))
Y, Y_TEST = np.arange(12) % 3, np.arange(6) % 3
GOOD = Dataset(X, Y, X_TEST, Y_TEST, "ab" * 32)


class Given(Task):
    """The data that a test gives."""

    name, summary, loss, epochs = "given", "for tests", "cross_entropy", 1
    batch_size: int | None = 4
    data: ClassVar = GOOD

    def network(self):
        return Linear(4, 3)

    def load(self, allow_unofficial):
        return type(self).data


class Shares(Given):
    name, loss = "given-shares", "binary_cross_entropy"


class Numbers(Given):
    name, loss = "given-numbers", "squared_error"


def with_one(array, value, place):
    changed = np.array(array, dtype=np.result_type(array, type(value)))
    changed[place] = value
    return changed


def real(targets, test):
    return {"y_train": targets, "y_test": test}


SHARE, SHARE_TEST = np.full((12, 3), 0.5), np.full((6, 3), 0.5)
WRONG = {
    "a label too large": (Given, {"y_train": with_one(Y, 3, 5)}, r"y_train has labels from 0 to 3, .* is 3 at \[5\]"),
    "a label below 0": (Given, {"y_test": with_one(Y_TEST, -1, 2)}, r"y_test has labels from -1 .* is -1 at \[2\]"),
    "labels with fractions": (Given, {"y_train": Y + 0.4}, "y_train has dtype float64; .*integer class labels"),
    "labels as booleans": (Given, {"y_train": Y > 0}, "y_train has dtype bool"),
    "labels in a column": (Given, {"y_train": Y[:, None]}, r"y_train has shape \(12, 1\)"),
    "labels in words": (Given, {"y_train": Y.astype(str)}, "y_train has dtype <U"),
    "NaN to train": (Given, {"x_train": with_one(X, np.nan, (3, 1))}, r"x_train has nan at \[3, 1\]"),
    "NaN to test": (Given, {"x_test": with_one(X_TEST, np.nan, (0, 2))}, r"x_test has nan at \[0, 2\]"),
    "infinite": (Given, {"x_test": with_one(X_TEST, np.inf, (5, 0))}, r"x_test has inf at \[5, 0\]"),
    "beyond float32": (Given, {"x_train": with_one(X, 1e300, (3, 1))}, r"x_train has 1e\+300 at .*float32 can hold"),
    "NaN targets": (Numbers, real(with_one(SHARE, np.nan, (2, 1)), SHARE_TEST), r"y_train has nan at \[2, 1\]"),
    "targets above 1": (Shares, real(SHARE, SHARE_TEST + 1), r"y_test has 1\.5 at \[0, 0\]; .*from 0 to 1"),
    "targets too narrow": (Numbers, real(SHARE[:, :2], SHARE_TEST), r"y_train has shape \(12, 2\); .* needs \(12, 3\)"),
    "fewer targets": (Given, {"y_train": Y[:11]}, "x_train holds 12 data, and y_train holds 11 targets"),
    "fewer test targets": (Given, {"y_test": Y_TEST[:2]}, "x_test holds 6 data, and y_test holds 2 targets"),
    "other test data": (Given, {"x_test": X_TEST[:, :3]}, r"x_test has data of shape \(3,\), and x_train of \(4,\)"),
    "data for another network": (Given, {"x_train": X[:, :3]}, r"takes \(4\), but is given \(3\)"),
    "no data": (Given, {"x_train": X[:0], "y_train": Y[:0]}, r"x_train has shape \(0, 4\): it holds no data"),
    "no test data": (Given, {"x_test": X_TEST[:0], "y_test": Y_TEST[:0]}, r"x_test has shape \(0, 4\): it holds no"),
    "one number": (Given, {"x_train": np.float64(1)}, r"x_train has shape \(\), not"),
    "one label": (Given, {"y_train": np.int64(1)}, r"y_train has shape \(\)"),
    "nothing": (Given, {"x_train": None}, "x_train is None"),
    "objects": (Given, {"x_train": X.astype(object)}, "x_train has dtype object"),
    "complex": (Given, {"x_test": X_TEST + 0j}, "x_test has dtype complex128"),
    "dates": (Given, {"x_train": np.zeros((12, 4), "M8[s]")}, "x_train has dtype datetime64"),
    "masked": (Given, {"x_train": np.ma.array(X)}, "x_train is a masked array"),
    "ragged": (Given, {"x_train": [[1.0]] * 11 + [[1.0, 2.0]]}, "x_train is list .*cannot be read as an array"),
    "vectors to mirror": (Given, {"augment": True}, r"x_train has shape \(12, 4\); augment needs images"),
}


@pytest.fixture
def given(monkeypatch):
    """Makes a task with data that differ from good ones, and registers it."""

    def make(cls=Given, **changes):
        monkeypatch.setattr(cls, "data", replace(GOOD, **changes))
        return cls()

    with registered(tasks=[Given, Shares, Numbers]):
        yield make


@pytest.mark.parametrize("case", WRONG)
def test_data_that_do_not_fit_are_refused_with_task_array_place_and_value(given, case):
    cls, changes, words = WRONG[case]
    task = given(cls, **changes)
    with pytest.raises(DataError, match=f"^{cls.name}: .*{words}"):
        task.dataset(dtype="float32")


@pytest.mark.parametrize("case", ["a label too large", "NaN to test", "labels with fractions", "targets above 1"])
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_a_cell_refuses_them_on_every_backend_alike(given, case, backend):
    pytest.importorskip(backend)
    cls, changes, _ = WRONG[case]
    task = given(cls, **changes)
    record = run_cell(cell(backend=backend, task=task.spec))
    with pytest.raises(DataError) as refused:
        task.dataset(dtype="float32")
    assert (record.status, record.reason) == ("crashed", f"DataError: {refused.value}")


def odd(array):
    """An array in a view with strides that no library but NumPy takes."""
    return np.repeat(array, 2, axis=0)[::-2][::-1].astype(array.dtype.newbyteorder(">"))


LAYOUTS = {
    "another byte order": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "reversed twice": lambda a: a[::-1].copy()[::-1],
    "columns first": np.asfortranarray,
    "odd": odd,
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "lists": lambda a: a.tolist(),
    "long double, unsigned": lambda a: a.astype(np.uint64 if a.dtype.kind == "i" else np.longdouble),
    "not aligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("backend", ["numpy", "torch", "jax"])
def test_every_layout_gives_the_same_course(given, layout, backend):
    pytest.importorskip(backend)
    names = ("x_train", "y_train", "x_test", "y_test")
    settings = {"backend": backend, "dtype": "float64"}
    plain = run_cell(cell(task=given().spec, **settings))
    changed = given(**{name: LAYOUTS[layout](getattr(GOOD, name)) for name in names})
    other = run_cell(cell(task=changed.spec, **settings))
    assert (plain.status, other.status) == ("ok", "ok"), other.reason
    for one, two in zip(plain.history, other.history, strict=True):
        assert {**one, "seconds": 0} == {**two, "seconds": 0}


@pytest.mark.parametrize("dtype", ["uint8", "float16", "bool"])
def test_inputs_of_few_bits_become_numbers(given, dtype):
    x = (np.arange(48).reshape(12, 4) % 2).astype(dtype)
    assert run_cell(cell(task=given(x_train=x, x_test=x, y_test=Y).spec)).status == "ok"


def test_a_broadcast_array_is_taken(given):
    data = given(x_train=np.broadcast_to(X[0], (12, 4))).dataset()
    assert min(data.x_train.strides) > 0


def test_a_file_in_memory_is_taken(given, tmp_path):
    np.save(tmp_path / "x.npy", X)
    data = given(x_train=np.load(tmp_path / "x.npy", mmap_mode="r")).dataset()
    np.testing.assert_array_equal(data.x_train, X)


def test_numbers_beyond_float32_are_taken_in_float64(given):
    task = given(x_train=with_one(X, 1e300, (3, 1)))
    assert task.dataset(dtype="float64").x_train.max() == 1e300


def test_validation_needs_data_to_hold_out(given, monkeypatch):
    task = given(x_train=X[:5], y_train=Y[:5]).changed(validation=True)
    with pytest.raises(DataError, match="a sixth of the training data is held out, and there are 5"):
        task.dataset()


def test_a_test_set_that_validation_leaves_alone_is_not_checked(given):
    assert len(given(x_test=None, y_test=None).changed(validation=True).dataset().x_test) == 2


def test_a_load_that_returns_something_else_is_named(given, monkeypatch):
    task = given()
    monkeypatch.setattr(Given, "data", None)
    with pytest.raises(DataError, match="given: its load returns NoneType, not a Dataset"):
        task.dataset()


@pytest.mark.parametrize("claim", ["", None, 7, b"ab"])
def test_data_without_a_fingerprint_are_given_their_own(given, claim):
    data = given(sha256=claim, official=np.True_).dataset()
    assert data.sha256 == fingerprint(data.x_train, data.y_train, data.x_test, data.y_test)
    assert data.official is True


def test_a_checksum_tells_data_that_a_task_calls_the_same():
    swapped = replace(GOOD, x_train=X[::-1].copy())
    assert checksum(GOOD) == checksum(replace(GOOD, x_train=X.copy())) != checksum(swapped)
    assert checksum(replace(GOOD, x_train=X.reshape(6, 8))) != checksum(GOOD)


def test_a_network_that_returns_no_vector_is_refused(given, monkeypatch):
    task = given()
    monkeypatch.setattr(Given, "network", lambda self: Linear(4, 3) * Linear(4, 3))
    with pytest.raises(RbenchError, match=r"takes 2 wires|one output"):
        task.dataset()
