"""The files of MNIST and Fashion-MNIST, and their format, IDX."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.data_files import as_file, put, sha
from rbench.errors import DataError
from rbench.tasks import datasets, files
from rbench.tasks.idx import parse_idx
from rbench.tasks.mnist import FashionMnist, Mnist


def idx_bytes(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture(autouse=True)
def _no_cache(tmp_path, monkeypatch):
    """No test reads the user's files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class TestIdx:
    @pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 3)])
    def test_reads_what_was_written_by_hand(self, shape):
        array = np.arange(np.prod(shape)).reshape(shape) + 200
        parsed = parse_idx(idx_bytes(array), "x")
        assert parsed.dtype == np.uint8
        np.testing.assert_array_equal(parsed, array)

    def test_sizes_are_big_endian(self):
        content = bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 1, 1]) + bytes(257)
        assert parse_idx(content, "x").shape == (1, 257)

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "starts with nothing, not with 000008"),
            (b"\0\0\x08", "starts with 000008"),
            (b"\x1f\x8b\x08\0rest", "starts with 1f8b0800, not with 000008"),
            (bytes([0, 0, 13, 1, 0, 0, 0, 1, 0, 0, 0, 0]), "starts with 00000d01"),
            (bytes([0, 0, 8, 3, 0, 0, 0, 1]), "ends within its header: 8 bytes, but 3 axes take 16"),
            (bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2]), r"holds 2 values, but its sizes \(3,\) make 3"),
            (bytes([0, 0, 8, 1, 0, 0, 0, 1, 1, 2]), r"holds 2 values, but its sizes \(1,\) make 1"),
        ],
    )
    def test_names_what_is_wrong(self, content, words):
        with pytest.raises(DataError, match=rf"^some-file .*{words}"):
            parse_idx(content, "some-file")


class TestMnistFiles:
    @pytest.fixture
    def parts(self):
        """Small arrays in the order of MNIST's files."""
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (n, 28, 28)) for n in (7, 3)]
        return [images[0], np.arange(7), images[1], np.array([9, 0, 3])]

    @pytest.fixture
    def write(self, tmp_path, monkeypatch):
        """Writes arrays under the names of MNIST's files, and returns the folder."""
        monkeypatch.setenv("RBENCH_DATA", str(tmp_path / "data"))

        def write(parts):
            names = [file.name for file in datasets.MNIST.files]
            put(tmp_path / "data/mnist", **{n: idx_bytes(part) for n, part in zip(names, parts, strict=True)})
            return tmp_path / "data/mnist"

        return write

    def test_images_and_labels_are_read(self, write, parts):
        write(parts)
        data = Mnist(batch_size=1).dataset(allow_unofficial=True)
        np.testing.assert_array_equal(np.rint(data.x_train * 255), parts[0].reshape(7, 784))
        np.testing.assert_array_equal(np.rint(data.x_test * 255), parts[2].reshape(3, 784))
        np.testing.assert_array_equal(data.y_train, parts[1])
        np.testing.assert_array_equal(data.y_test, parts[3])
        assert data.official is False
        assert data.sha256 == sha("".join(sha(idx_bytes(part)) for part in parts).encode())

    def test_one_unofficial_file_makes_the_data_unofficial(self, write, parts, monkeypatch):
        write(parts)
        own = tuple(as_file(f.name, idx_bytes(part)) for f, part in zip(datasets.MNIST.files, parts, strict=True))
        monkeypatch.setitem(datasets.DATASETS, "mnist", replace(datasets.MNIST, files=own))
        assert Mnist(batch_size=1).dataset().official is True
        write([*parts[:3], np.array([9, 0, 4])])
        assert Mnist(batch_size=1).dataset(allow_unofficial=True).official is False

    def test_fashion_mnist_is_read_from_its_own_files(self, write, parts, tmp_path, monkeypatch):
        monkeypatch.setattr(files, "TIMEOUT_SECONDS", 0.001)
        monkeypatch.setitem(
            datasets.DATASETS, "fashion-mnist", replace(datasets.FASHION_MNIST, address="http://[::1]:9/")
        )
        write(parts)
        with pytest.raises(DataError, match=r"fashion-mnist: train-images-idx3-ubyte\.gz is absent"):
            FashionMnist().load(allow_unofficial=True)
        names = [file.name for file in datasets.FASHION_MNIST.files]
        others = [255 - parts[0], parts[1][::-1], 255 - parts[2], parts[3]]
        put(tmp_path / "data/fashion-mnist", **{n: idx_bytes(p) for n, p in zip(names, others, strict=True)})
        data = FashionMnist(batch_size=1, network="cnn").dataset(allow_unofficial=True)
        np.testing.assert_array_equal(np.rint(data.x_train * 255), others[0][:, None])
        np.testing.assert_array_equal(data.y_train, others[1])
        with pytest.raises(DataError, match=r"is not the published train-images-idx3-ubyte: .*c59f468a2f672dc8"):
            FashionMnist().load(allow_unofficial=False)

    def test_they_are_refused_by_default(self, write, parts):
        write(parts)
        with pytest.raises(DataError, match=r"is not the published train-images-idx3-ubyte: .*ba891046e6505d7a"):
            Mnist(batch_size=1).dataset()

    @pytest.mark.parametrize(
        ("index", "array", "words"),
        [
            (0, np.zeros((7, 27, 28)), r"train-images.* has shape \(7, 27, 28\); images are \(n, 28, 28\)"),
            (2, np.zeros(3), r"t10k-images.* has shape \(3,\)"),
            (1, np.zeros(6), r"train-labels.* has shape \(6,\) .*labels are \(7,\)"),
            (3, np.zeros((3, 1)), r"t10k-labels.* has shape \(3, 1\)"),
            (3, np.array([1, 10, 2]), r"t10k-labels.* values up to 10; labels are \(3,\), one per image, from 0 to 9"),
        ],
    )
    def test_other_shapes_are_errors_that_name_the_file(self, write, parts, index, array, words):
        write([*parts[:index], array, *parts[index + 1 :]])
        with pytest.raises(DataError, match=words):
            Mnist(batch_size=1).dataset(allow_unofficial=True)

    def test_content_that_is_no_idx_names_the_file(self, write, parts):
        folder = write(parts)
        put(folder, **{"t10k-labels-idx1-ubyte": idx_bytes(parts[3])[:-1]})
        with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz holds 2 values"):
            Mnist(batch_size=1).dataset(allow_unofficial=True)
