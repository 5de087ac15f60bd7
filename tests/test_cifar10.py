"""CIFAR-10: its files, where they come from, and a run on them."""

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pooch
import pytest

from helpers.faults import cell
from rbench.errors import DataError
from rbench.run import Request, check
from rbench.run.worker import run_cell
from rbench.tasks import cifar10, datasets, files
from rbench.tasks.cifar10 import DEVIATION, MEAN, Cifar10

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
    monkeypatch.setattr(cifar10, "ROWS", ROWS)
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
        assert {state.path.parent for state in files.status(datasets.CIFAR10)} == {tmp_path / "data" / place}

    def test_a_copy_that_is_not_the_published_one_is_refused(self, tmp_path, contents):
        put(tmp_path / "data/cifar-10-batches-bin", contents)
        with pytest.raises(DataError, match=r"bin/data_batch_1\.bin is not the published .*cee916563c9f80d8") as caught:
            Cifar10(batch_size=1).dataset()
        assert "`unofficial_data`" in str(caught.value)
        assert not any(state.official for state in files.status(datasets.CIFAR10))

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
        assert cifar10.ROWS * cifar10.ROW_BYTES == 30_730_000
        assert [file.name for file in datasets.CIFAR10.files] == NAMES


class TestFetching:
    def test_one_archive_brings_all_six_files_and_nothing_else(self, cache_folder, tmp_path, official, monkeypatch):
        asked = serve(monkeypatch, official)
        assert all(state.official for state in files.fetch(datasets.CIFAR10))
        assert asked == ["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"]
        assert left(tmp_path) == NAMES
        assert left(cache_folder) == NAMES
        assert Cifar10(batch_size=1).dataset().official is True
        assert len(asked) == 1

    def test_what_is_here_is_not_fetched(self, cache_folder, contents, official, monkeypatch):
        put(cache_folder, contents)
        assert serve(monkeypatch, official) == []
        files.fetch(datasets.CIFAR10)

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
        assert [(state.file, state.problem) for state in files.status(datasets.CIFAR10)] == [
            (n, "absent") for n in NAMES
        ]


def test_a_cell_runs_and_its_record_says_that_the_data_are_unofficial(tmp_path, contents):
    put(tmp_path / "data/cifar-10-batches-bin", contents)
    asked = cell("sgd[lr=0.01]", task="cifar10[network=cnn,batch_size=10]", steps=2, unofficial_data=True)
    record = run_cell(asked)
    assert (record.status, record.reason) == ("ok", None)
    assert record.figures["dataset_official"] is False
    assert len(record.figures["dataset_sha256"]) == 64
    refused = run_cell(asked.model_copy(update={"unofficial_data": False}))
    assert "`unofficial_data`" in refused.reason


def test_the_suite_compares_the_methods_on_both_networks():
    cells = Request(suites=("cifar10",)).cells()
    check(cells)
    assert {cell.task for cell in cells} == {"cifar10[network=cnn]", "cifar10[network=resnet8]"}
    assert len({cell.method for cell in cells}) == 5
    assert len(cells) == 10
