"""CIFAR-10: its files, the networks by name, and augmentation."""

import hashlib
import io
import tarfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pooch
import pytest

from rbench.errors import BackendError, DataError, ShapeError, SpecError
from rbench.losses import get_loss
from rbench.methods import SGD, Problem
from rbench.modules import Linear
from rbench.plugins import find_backend, get_backend
from rbench.random import generator
from rbench.run import Budget, Cell, Request, check
from rbench.run.augment import MARGIN, augmented
from rbench.run.cell import configured
from rbench.run.evaluate import Evaluator
from rbench.run.feed import Feed
from rbench.run.stepper import Stepper
from rbench.run.worker import run_cell
from rbench.tasks import Dataset, cifar_binary, datasets, files
from rbench.tasks.cifar10 import DEVIATION, MEAN, Cifar10
from rbench.tasks.convnets import cnn, resnet8
from rbench.tasks.mnist import Mnist

ROWS = 12
NAMES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
PLACES = ["cifar10/cifar-10-batches-bin", "cifar-10-batches-bin", "cifar10", "."]


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """The data set's cache, in a folder of the test's own; files of few rows; no download."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("RBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(cifar_binary, "ROWS", ROWS)
    monkeypatch.setattr(pooch, "retrieve", lambda *args, **kwargs: pytest.fail("something was fetched"))
    return tmp_path / "cache" / "rbench" / "cifar10"


@pytest.fixture
def parts():
    """Pixels and labels of the six files."""
    rng = np.random.default_rng(0)
    return {name: (rng.integers(0, 256, (ROWS, 3, 32, 32)), rng.integers(0, 10, ROWS)) for name in NAMES}


@pytest.fixture
def contents(parts):
    """What the files hold, by name."""
    return {
        name: np.concatenate([labels[:, None], images.reshape(ROWS, -1)], axis=1).astype(np.uint8).tobytes()
        for name, (images, labels) in parts.items()
    }


@pytest.fixture
def official(contents, monkeypatch):
    """Makes these contents the published ones, and returns the archive that holds them and more."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        extra = {"readme.html": b"hello", "batches.meta.txt": b"airplane", "../../outside.txt": b"no"}
        for name, data in [*extra.items(), *reversed(contents.items())]:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    archive = packed.getvalue()
    published = [
        replace(file, archive_sha256=sha(archive), content_sha256=sha(contents[file.name]))
        for file in datasets.CIFAR10.files
    ]
    own = replace(datasets.CIFAR10, files=tuple(published))
    monkeypatch.setattr(datasets, "CIFAR10", own)
    monkeypatch.setitem(datasets.DATASETS, "cifar10", own)
    return archive


def put(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / name).write_bytes(data)


def serve(monkeypatch, data):
    """A pooch that has `data` for every address, and checks its sum; returns the addresses that were asked for."""
    asked = []

    def retrieve(url, known_hash, fname, path, downloader):
        asked.append(url)
        if known_hash != f"sha256:{sha(data)}":
            raise ValueError(f"SHA256 hash of downloaded file ({fname}) does not match the known hash")
        (Path(path) / fname).write_bytes(data)
        return str(Path(path) / fname)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    return asked


def left(folder):
    return sorted(path.name for path in folder.glob("**/*") if path.is_file())


class TestFiles:
    def test_the_six_files_are_read_in_order(self, tmp_path, parts, contents):
        put(tmp_path / "data/cifar-10-batches-bin", contents)
        data = Cifar10(batch_size=1).dataset(allow_unofficial=True)
        images = np.concatenate([parts[name][0] for name in NAMES])
        mean, deviation = (np.array(values)[:, None, None] for values in (MEAN, DEVIATION))
        for x, expected in ((data.x_train, images[: 5 * ROWS]), (data.x_test, images[5 * ROWS :])):
            assert x.dtype == np.float32
            np.testing.assert_allclose(x, (expected / 255 - mean) / deviation, atol=2e-6)
        labels = np.concatenate([parts[name][1] for name in NAMES])
        np.testing.assert_array_equal(np.concatenate([data.y_train, data.y_test]), labels)
        assert data.y_train.dtype == data.y_test.dtype == np.int64
        assert (len(data.y_test), data.official, data.augment) == (ROWS, False, True)
        assert data.sha256 == sha("".join(sha(contents[name]) for name in NAMES).encode())

    @pytest.mark.parametrize("place", PLACES)
    def test_every_place_is_looked_in(self, tmp_path, contents, official, place):
        put(tmp_path / "data" / place, contents)
        assert Cifar10(batch_size=1).dataset().official is True
        assert {state.path.parent for state in datasets.status("cifar10")} == {tmp_path / "data" / place}

    def test_a_copy_that_is_not_the_published_one_is_refused(self, tmp_path, contents):
        put(tmp_path / "data/cifar-10-batches-bin", contents)
        with pytest.raises(DataError, match=r"bin/data_batch_1\.bin is not the published .*cee916563c9f80d8") as caught:
            Cifar10(batch_size=1).dataset()
        assert "--unofficial-data" in str(caught.value)
        assert not any(state.official for state in datasets.status("cifar10"))

    def test_validation_keeps_what_the_data_are(self, tmp_path, contents):
        put(tmp_path / "data/cifar-10-batches-bin", contents)
        data = Cifar10(batch_size=1, validation=True, augment=False).dataset(allow_unofficial=True)
        assert (len(data.x_train), len(data.x_test), data.official, data.augment) == (50, 10, False, False)

    @pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data[3073:], lambda data: data + b"\0"])
    def test_another_size_is_an_error_that_names_the_file(self, tmp_path, contents, change):
        put(tmp_path / "data/cifar10", contents | {"data_batch_4.bin": change(contents["data_batch_4.bin"])})
        with pytest.raises(
            DataError, match=r"cifar10/data_batch_4\.bin has 3\d,\d{3} bytes; 12 images, .* take 36,876"
        ):
            Cifar10(batch_size=1).dataset(allow_unofficial=True)

    def test_a_label_above_nine_is_an_error_that_names_the_image(self, tmp_path, contents):
        altered = bytearray(contents["test_batch.bin"])
        altered[3073 * 5] = 10
        put(tmp_path / "data/cifar10", contents | {"test_batch.bin": bytes(altered)})
        with pytest.raises(DataError, match=r"test_batch\.bin has the label 10 at image 5; labels are from 0 to 9"):
            Cifar10(batch_size=1).dataset(allow_unofficial=True)

    def test_published_files_have_ten_thousand_rows(self, monkeypatch):
        monkeypatch.undo()
        assert cifar_binary.ROWS * cifar_binary.ROW_BYTES == 30_730_000
        assert [file.name for file in datasets.CIFAR10.files] == NAMES


class TestFetching:
    def test_one_archive_brings_all_six_files_and_nothing_else(self, cache_folder, tmp_path, official, monkeypatch):
        asked = serve(monkeypatch, official)
        assert all(state.official for state in datasets.fetch("cifar10"))
        assert asked == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]
        assert left(tmp_path) == NAMES
        assert left(cache_folder) == NAMES
        assert Cifar10(batch_size=1).dataset().official is True
        assert len(asked) == 1

    def test_what_is_here_is_not_fetched(self, cache_folder, contents, official, monkeypatch):
        put(cache_folder, contents)
        assert serve(monkeypatch, official) == []
        datasets.fetch("cifar10")

    def test_an_archive_with_another_sum_is_refused_and_not_kept(self, cache_folder, official, monkeypatch):
        serve(monkeypatch, official + b"altered")
        with pytest.raises(DataError) as caught:
            Cifar10().dataset()
        message = str(caught.value)
        for words in (
            "data_batch_1.bin is absent and could not be fetched",
            "does not match the known hash",
            "`rbench data fetch cifar10`",
            "RBENCH_DATA to a folder that holds cifar-10-batches-bin/data_batch_1.bin",
        ):
            assert words in message
        assert left(cache_folder) == []

    def test_an_archive_that_lacks_a_file_is_an_error(self, cache_folder, official, monkeypatch):
        lacking = replace(datasets.CIFAR10.files[0], name="data_batch_6.bin")
        serve(monkeypatch, official)
        with pytest.raises(DataError, match=r"cifar-10-binary\.tar\.gz holds no data_batch_6\.bin"):
            files.fetch(replace(datasets.CIFAR10, files=(*datasets.CIFAR10.files, lacking)))

    def test_absent_files_are_listed(self):
        assert [(state.file, state.problem) for state in datasets.status("cifar10")] == [(n, "absent") for n in NAMES]


NETWORKS = {
    "cifar10[network=mlp]": 3072 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10,
    "cifar10[network=mlp,hidden=[]]": 3072 * 10 + 10,
    "cifar10[network=cnn]": (27 + 1) * 32 + (288 + 1) * 64 + (576 + 1) * 64 + (1024 + 1) * 10,
    "cifar10[network=resnet8]": (27 + 1) * 16
    + ((144 + 1) * 16 + 144 * 16 + 2 * 16)
    + ((144 + 1) * 32 + 288 * 32 + 2 * 32 + 16 * 32)
    + ((288 + 1) * 64 + 576 * 64 + 2 * 64 + 32 * 64)
    + (64 + 1) * 10,
    "mnist": 784 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10,
    "mnist[network=cnn]": (9 + 1) * 32 + (288 + 1) * 64 + (576 + 1) * 64 + (576 + 1) * 10,
    "mnist[network=resnet8]": 77722 - 2 * 9 * 16,
}


def make(spec):
    (task,) = configured("tasks", spec)
    return task


class TestNetworks:
    @pytest.mark.parametrize(("spec", "count"), NETWORKS.items())
    def test_ten_outputs_and_the_parameters_that_the_formula_says(self, spec, count):
        task = make(spec)
        assert task.network().out_space((task.image,)) == ((10,),)
        assert sum(layer.n_parameters for layer in task.network().layers) == count
        assert make(task.spec) == task

    @pytest.mark.parametrize("spec", NETWORKS)
    def test_a_first_step_is_finite_and_outputs_begin_of_order_one(self, spec):
        task, rng = make(spec), np.random.default_rng(1)
        x, y = rng.standard_normal((64, *task.image)).astype(np.float32), rng.integers(0, 10, 64)
        problem = Problem(get_backend("numpy", dtype="float32"), task.network(), get_loss(task.loss))
        params = task.initial(problem.net, problem.backend, 0)
        z = problem.net.apply(problem.backend, params, x)
        assert 0.1 < z.std() < 3
        feed = Feed(problem, Dataset(x, y, x, y, "", augment=True), 32, seed=0)
        step = Stepper(problem, SGD(lr=0.01), feed).call(0, 1)(params, SGD().init(problem, params))
        assert 2 < float(step.loss) < 8
        assert all(np.isfinite(array).all() for block in step.params for array in block.values())

    @pytest.mark.parametrize("side", [5, 28, 32, 33])
    @pytest.mark.parametrize("network", [cnn, resnet8])
    def test_other_sides_fit(self, network, side):
        assert network(1, side).out_space(((1, side, side),)) == ((10,),)
        with pytest.raises(ShapeError):
            network(1, side).out_space(((2, side, side),))

    @pytest.mark.parametrize(
        ("spec", "variance"),
        [("cifar10[network=cnn]", 2 / 288), ("cifar10[network=mlp]", 2 / 256), ("mnist", 2 / (256 + 128))],
    )
    def test_weights_behind_relus_start_larger(self, spec, variance):
        task = make(spec)
        params = task.initial(task.network(), get_backend("numpy"), 0)
        np.testing.assert_allclose(params[1]["weight"].var(), variance, rtol=0.03)

    def test_the_name_of_the_network_is_a_setting_called_network(self):
        assert make("cifar10").spec == "cifar10[network=cnn]"
        assert make("mnist[network=mlp]").spec == "mnist"
        assert Cifar10(network="resnet8") == make("cifar10[network=resnet8]")
        assert make("cifar10").changed(network="mlp", batch_size=7).spec == "cifar10[network=mlp,batch_size=7]"
        assert [task.architecture for task in configured("tasks", "mnist[network=[mlp,cnn]]")] == ["mlp", "cnn"]

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ("cifar10[network=vgg]", "network='vgg': .*'mlp', 'cnn' or 'resnet8'"),
            ("cifar10[width=3]", "no setting 'width'; its settings are: .*network, augment"),
            ("cifar10[hidden=[3]]", "hidden is a setting of network=mlp; leave it out for network=cnn"),
            ("mnist[network=resnet8,activation=gelu]", "activation is a setting of network=mlp"),
        ],
    )
    def test_settings_that_do_not_fit_are_refused(self, spec, words):
        with pytest.raises(SpecError, match=words):
            configured("tasks", spec)

    def test_mnist_has_images_for_convolutional_networks_only(self, monkeypatch):
        x, y = np.arange(4 * 784.0).reshape(4, 784), np.arange(4)
        monkeypatch.setattr("rbench.tasks.mnist.load_mnist", lambda allow: Dataset(x, y, x[:2], y[:2], "sum", True))
        flat, images = Mnist(batch_size=1).dataset(), Mnist(batch_size=1, network="cnn").dataset()
        assert (flat.x_train.shape, flat.x_test.shape) == ((4, 784), (2, 784))
        assert (images.x_train.shape, images.x_test.shape) == ((4, 1, 28, 28), (2, 1, 28, 28))
        np.testing.assert_array_equal(images.x_train.reshape(4, 784), x)
        assert (images.official, images.augment) == (True, False)


def slowly(image, row, column, mirrored):
    """A crop, pixel by pixel."""
    channels, height, width = image.shape
    result = np.zeros_like(image)
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                across = width - 1 - j if mirrored else j
                y, x = row + i - MARGIN, column + across - MARGIN
                if 0 <= y < height and 0 <= x < width:
                    result[c, i, j] = image[c, y, x]
    return result


IMAGES = np.random.default_rng(2).standard_normal((40, 3, 6, 5))
DATA = Dataset(IMAGES, np.arange(40) % 10, IMAGES[:7], np.arange(7), "", augment=True)
NET = make("cifar10[network=mlp,hidden=[]]").network().modules[0] >> Linear(90, 10)
BATCH, STEPS = 8, (0, 3, 4, 5, 11)


def why_not(name):
    try:
        find_backend(name, "float64", "cpu")
    except BackendError as error:
        return str(error)
    return None


BACKENDS = [
    pytest.param(name, marks=[pytest.mark.skip(reason=why_not(name))] if why_not(name) else [])
    for name in ("numpy", "torch", "jax")
]


@cache
def feed_of(name, seed=0, augment=True):
    device = None if name == "numpy" else "cpu"
    problem = Problem(get_backend(name, dtype="float64", device=device), NET, get_loss("cross_entropy"))
    return Feed(problem, replace(DATA, augment=augment), BATCH, seed)


class TestAugmentation:
    def test_images_are_cropped_and_mirrored_as_drawn(self):
        moves = generator(3, "augmentation").integers(0, (9, 9, 2), (len(IMAGES), 3))
        expected = [slowly(image, *move) for image, move in zip(IMAGES, moves, strict=True)]
        np.testing.assert_array_equal(augmented(IMAGES, generator(3, "augmentation")), expected)

    def test_every_shift_comes_up_and_half_of_the_images_are_mirrored(self):
        point = np.zeros((5000, 1, 9, 9), np.float32)
        point[:, 0, 4, 4] = 1
        moved = augmented(point, generator(0, "augmentation"))
        assert moved.dtype == np.float32
        places = moved.mean(axis=(0, 1))
        np.testing.assert_allclose(places, 1 / 81, atol=0.006)
        left = np.zeros((5000, 1, 9, 20))
        left[..., :10] = 1
        sums = augmented(left, generator(0, "augmentation")).sum(axis=(1, 2))
        np.testing.assert_allclose(np.mean(sums[:, :10].sum(axis=1) < sums[:, 10:].sum(axis=1)), 0.5, atol=0.03)

    @pytest.mark.parametrize("name", BACKENDS)
    def test_batches_are_the_same_numbers_on_every_backend(self, name):
        feed, reference = feed_of(name), feed_of("numpy")
        to_numpy = get_backend(name, device=None if name == "numpy" else "cpu").to_numpy
        several = feed.several(STEPS)
        for place, step in enumerate(STEPS):
            plain, batch, expected = feed_of("numpy", augment=False)(step), feed(step), reference(step)
            moved = augmented(plain.x, generator(0, "augmentation", step))
            for x in (batch.x, several.x[place], expected.x):
                np.testing.assert_array_equal(to_numpy(x), moved)
            for y in (batch.y, several.y[place], expected.y):
                np.testing.assert_array_equal(to_numpy(y), plain.y)
            assert to_numpy(batch.y).dtype == np.int64

    def test_seed_and_step_make_the_batch(self):
        first = feed_of("numpy")(2).x
        feed_of("numpy")(7)
        np.testing.assert_array_equal(feed_of("numpy")(2).x, first)
        assert not (first == feed_of("numpy", seed=1)(2).x).all()

    def test_order_and_noise_stay_those_of_a_feed_without(self):
        feed, plain = feed_of("numpy"), feed_of("numpy", augment=False)
        np.testing.assert_array_equal(feed(6).y, plain(6).y)
        np.testing.assert_array_equal(feed.noise(6, 2), plain.noise(6, 2))

    def test_evaluation_sees_the_images_as_they_are(self):
        problem = Problem(get_backend("numpy"), NET, get_loss("cross_entropy"))
        params = NET.init(problem.backend, 0)
        assert Evaluator(problem, DATA)(params) == Evaluator(problem, replace(DATA, augment=False))(params)


def test_a_cell_runs_and_its_record_says_that_the_data_are_unofficial(tmp_path, contents):
    put(tmp_path / "data/cifar-10-batches-bin", contents)
    cell = Cell(
        suite="cifar10",
        task="cifar10[network=cnn,batch_size=10]",
        method="sgd[lr=0.01]",
        backend="numpy",
        budget=Budget(steps=2),
        unofficial_data=True,
    )
    record = run_cell(cell)
    assert (record.status, record.reason) == ("ok", None)
    assert record.figures["dataset_official"] is False
    assert len(record.figures["dataset_sha256"]) == 64
    refused = run_cell(cell.model_copy(update={"unofficial_data": False}))
    assert "--unofficial-data" in refused.reason


def test_the_suite_compares_the_methods_on_both_networks():
    cells = Request(suites=("cifar10",)).cells()
    check(cells)
    assert {cell.task for cell in cells} == {"cifar10[network=cnn]", "cifar10[network=resnet8]"}
    assert len({cell.method for cell in cells}) == 5
    assert len(cells) == 10
