"""`npz`: a user's own arrays, read from the file and told from others."""

import numpy as np
import pytest

from helpers.faults import cell
from rbench.errors import DataError, ShapeError, SpecError
from rbench.run.provenance import environment
from rbench.tasks import Target
from rbench.tasks.npz import Npz

RANDOM = np.random.default_rng(0)
X, IMAGES = RANDOM.standard_normal((60, 5)), RANDOM.standard_normal((60, 2, 6, 6)).astype(np.float32)
LABELS, REAL, PAIRS = np.arange(60) % 4, RANDOM.standard_normal(60), RANDOM.standard_normal((60, 2))


def split(x, y):
    return {"x_train": x[:40], "y_train": y[:40], "x_test": x[40:], "y_test": y[40:]}


@pytest.fixture
def saved(tmp_path):
    """Writes a file of arrays, and returns its path."""

    def write(**arrays):
        np.savez_compressed(tmp_path / "mine.npz", **arrays)
        return str(tmp_path / "mine.npz")

    return write


@pytest.mark.parametrize(
    ("x", "y", "settings", "outputs"),
    [
        (X, LABELS, {"hidden": (8,)}, 4),
        (X, LABELS.astype(np.uint8), {"hidden": ()}, 4),
        (IMAGES, LABELS, {"network": "cnn"}, 4),
        (IMAGES, LABELS, {"network": "resnet8"}, 4),
        (IMAGES, PAIRS, {"loss": "squared_error"}, 2),
        (X, REAL, {"loss": "squared_error", "activation": "relu"}, 1),
        (X, PAIRS > 0, {"loss": "binary_cross_entropy"}, 2),
    ],
)
def test_the_arrays_come_as_they_are_and_the_network_fits_them(saved, x, y, settings, outputs):
    task = Npz(path=saved(**split(x, y)), batch_size=10, **settings)
    data = task.dataset()
    np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test]), x)
    np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test]).reshape(y.shape), y)
    assert task.network().layers[-1].fan_out == outputs
    assert task.data_bytes() >= sum(array.nbytes for array in split(x, y).values())


@pytest.mark.parametrize(("y", "settings"), [(LABELS, {}), (REAL, {"loss": "squared_error"})])
def test_of_arrays_in_one_a_sixth_is_the_test_set(saved, y, settings):
    task = Npz(path=saved(x=X, y=y), batch_size=10, **settings)
    data = task.dataset()
    assert len(data.x_test) == 10
    rows = np.concatenate([data.x_train, data.x_test])
    order = [int(np.flatnonzero((X == row).all(axis=1)).item()) for row in rows]
    assert sorted(order) == list(range(60))
    np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test]).ravel(), y[order])
    tuned_on = task.changed(validation=True).dataset()
    assert not set(map(bytes, tuned_on.x_test)) & set(map(bytes, data.x_test))


def test_labels_of_the_test_set_count_too(saved):
    parts = split(X, LABELS) | {"y_test": np.full(20, 6)}
    assert Npz(path=saved(**parts)).network().layers[-1].fan_out == 7


@pytest.mark.parametrize(
    ("loss", "figure"), [("cross_entropy", "test_accuracy"), ("squared_error", "test_squared_error")]
)
def test_a_target_is_a_figure_of_the_loss(loss, figure):
    assert Npz(path="x.npz", loss=loss, target=0.5).target == Target(figure, 0.5)
    assert Npz(path="x.npz", loss=loss).target is None


def test_another_number_in_the_file_is_another_fingerprint(saved):
    before = Npz(path=saved(x=X, y=LABELS), batch_size=10)
    first, held = before.dataset(), before.changed(validation=True).dataset()
    again = Npz(path=saved(x=X + (X == X[0, 0]), y=LABELS), batch_size=10).dataset()
    assert first.sha256 == held.sha256 != again.sha256
    assert first.official is None


@pytest.mark.parametrize(("settings", "absent"), [({}, []), ({"loss": "of_a_plugin"}, ["loss of_a_plugin"])])
def test_a_record_looks_for_the_loss_that_is_chosen(settings, absent):
    found = environment(cell(task=Npz(path="mine.npz", **settings).spec))
    assert [name for name, source in found.items() if source == "absent"] == absent


@pytest.mark.parametrize(
    ("arrays", "settings", "error", "words"),
    [
        ({"x_tran": X, "y_train": LABELS}, {}, DataError, r"lacks x_train, x_test, y_test \(did you mean 'x_tran'\?\)"),
        ({}, {}, DataError, "holds no array; it lacks x_train, y_train"),
        ({"x": X, "y": REAL}, {}, DataError, "y of .* holds float64, and labels are integers.* set loss=squared_error"),
        ({"x": X, "y": np.array(["a"] * 60)}, {}, DataError, "y of .* holds <U1, and labels are integers"),
        ({"x": X, "y": LABELS - 1}, {}, DataError, "-1"),
        ({"x": X, "y": LABELS[:50]}, {}, DataError, "x holds 60 data, and y holds 50 targets"),
        ({"x": np.array([{}] * 60), "y": LABELS}, {}, DataError, "cannot be read: .*arrays of numbers"),
        ({"x": np.where(X == X[0, 0], np.nan, X), "y": LABELS}, {}, DataError, r"x_train has nan at \[0, 0\]"),
        ({"x": X[:5], "y": LABELS[:5]}, {}, DataError, "a sixth of the training data is held out, and there are 5"),
        ({"x": X, "y": LABELS}, {"network": "cnn"}, ShapeError, r"takes square images .* have shape \(5,\)"),
        ({"x": X, "y": LABELS}, {"loss": "squared"}, Exception, "^no loss is called 'squared' .*mean 'squared_error'"),
        ({"x": X, "y": LABELS}, {"batch_size": 500}, SpecError, "batch_size=500 is more than the 50 training data"),
    ],
)
def test_what_is_wrong_is_named(saved, arrays, settings, error, words):
    with pytest.raises(error, match=words):
        Npz(path=saved(**arrays), **{"batch_size": 10} | settings).dataset()


def test_a_file_that_is_absent_cut_or_none_is_named(saved, tmp_path):
    whole = saved(x=X, y=LABELS)
    with pytest.raises(DataError, match=r"there is no file 'no\.npz' in "):
        Npz(path="no.npz").network()
    content = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "mine.npz").write_bytes(content[:-40])
    with pytest.raises(DataError, match=r"'.*mine\.npz' cannot be read: "):
        Npz(path=whole).network()
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(DataError, match=r"'.*one\.npy' cannot be read: .*numpy\.savez"):
        Npz(path=str(tmp_path / "one.npy")).data_bytes()
    with pytest.raises(SpecError, match="npz needs a value for path"):
        Npz()
