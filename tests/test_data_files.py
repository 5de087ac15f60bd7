"""Files of public data sets: found, fetched, checked, refused; and the IDX format."""

import gzip
import hashlib
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pooch
import pytest
import requests

from rbench.errors import DataError
from rbench.tasks import datasets, files
from rbench.tasks.files import File, FileSet
from rbench.tasks.idx import parse_idx
from rbench.tasks.mnist import FashionMnist, Mnist

CONTENT = {"one": b"first content " * 40, "two": b"second content " * 4000}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def as_file(name, content):
    return File(name, sha(gzip.compress(content, mtime=0)), sha(content))


def idx_bytes(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes((0, 0, 8, array.ndim)) + sizes + array.astype(np.uint8).tobytes()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache of the data set `toy`, in a folder of the test's own; no test reads the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("RBENCH_DATA", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "cache" / "rbench" / "toy"
    assert FileSet("toy", "", ()).cache == folder
    return folder


@pytest.fixture
def served(tmp_path):
    """A folder that is served, its address, and the paths that were asked for."""
    folder = tmp_path / "served"
    folder.mkdir()
    asked = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def toy():
    """Two files at an address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return FileSet("toy", f"http://127.0.0.1:{port}/", tuple(as_file(name, data) for name, data in CONTENT.items()))


def put(folder, compressed=True, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        (folder / (f"{name}.gz" if compressed else name)).write_bytes(
            gzip.compress(data, mtime=0) if compressed else data
        )


def left(folder):
    return sorted(path.name for path in folder.glob("**/*") if path.is_file())


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


class TestFinding:
    @pytest.mark.parametrize("compressed", [True, False])
    @pytest.mark.parametrize("place", ["data/toy", "data", "cache/rbench/toy"])
    def test_every_place_is_looked_in(self, tmp_path, monkeypatch, toy, place, compressed):
        monkeypatch.setenv("RBENCH_DATA", str(tmp_path / "data"))
        put(tmp_path / place, compressed, **CONTENT)
        contents, _, official = files.read(toy, allow_unofficial=False)
        assert [data for _, data in contents] == list(CONTENT.values())
        assert {path.parent for path, _ in contents} == {tmp_path / place}
        assert official

    def test_the_places_have_an_order(self, tmp_path, monkeypatch, toy):
        monkeypatch.setenv("RBENCH_DATA", str(tmp_path / "data"))
        places = [tmp_path / "cache/rbench/toy", tmp_path / "data", tmp_path / "data/toy"]
        for place in places:
            put(place, **CONTENT)
            assert {state.path.parent for state in files.status(toy)} == {place}

    def test_files_that_two_data_sets_have_are_looked_for_by_folder(self, tmp_path, monkeypatch, toy):
        monkeypatch.setenv("RBENCH_DATA", str(tmp_path / "data"))
        put(tmp_path / "data", **CONTENT)
        alone = replace(toy, own_folder=True)
        assert [state.path for state in files.status(alone)] == [None, None]
        put(tmp_path / "data/toy", **CONTENT)
        assert {state.path.parent for state in files.status(alone)} == {tmp_path / "data/toy"}

    def test_an_empty_variable_is_no_folder(self, monkeypatch, cache, toy):
        monkeypatch.setenv("RBENCH_DATA", "")
        assert toy.folders == [cache]

    def test_a_home_folder_is_expanded(self, monkeypatch, tmp_path, toy):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("RBENCH_DATA", "~/sets")
        assert toy.folders[:2] == [tmp_path / "sets" / "toy", tmp_path / "sets"]


class TestChecking:
    def test_other_content_is_refused_with_both_sums(self, cache, toy):
        put(cache, **{**CONTENT, "two": b"altered"})
        with pytest.raises(DataError, match=f"{sha(b'altered')}, officially {sha(CONTENT['two'])}") as caught:
            files.read(toy, allow_unofficial=False)
        assert str(cache / "two.gz") in str(caught.value)
        assert "`unofficial_data`" in str(caught.value)

    def test_other_content_can_be_allowed_and_is_marked(self, cache, toy):
        put(cache, **{**CONTENT, "two": b"altered"})
        contents, _, official = files.read(toy, allow_unofficial=True)
        assert official is False
        assert contents[1] == (cache / "two.gz", b"altered")
        assert [state.official for state in files.status(toy)] == [True, False]
        assert files.status(toy)[1].sha256 == sha(b"altered")

    def test_a_file_compressed_anew_is_official(self, cache, toy):
        put(cache, **CONTENT)
        (cache / "two.gz").write_bytes(gzip.compress(CONTENT["two"], 1, mtime=7))
        assert files.read(toy, allow_unofficial=False)[2] is True
        assert [state.official for state in files.status(toy)] == [True, True]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda packed: packed[: len(packed) // 2],
            lambda packed: packed[:-8] + bytes(8),
            lambda packed: packed[:12] + b"\xff" * 20 + packed[32:],
            lambda packed: b"not gzip at all",
        ],
        ids=["cut", "checksum", "scrambled", "another format"],
    )
    @pytest.mark.parametrize("allow", [False, True])
    def test_a_damaged_archive_is_an_error_that_names_it(self, cache, toy, damage, allow):
        put(cache, **CONTENT)
        (cache / "one.gz").write_bytes(damage((cache / "one.gz").read_bytes()))
        with pytest.raises(DataError, match=r"one\.gz is damaged or cannot be read: .+\. Remove or replace it"):
            files.read(toy, allow_unofficial=allow)

    def test_the_sum_of_sums(self, cache, toy):
        put(cache, **CONTENT)
        expected = sha((sha(CONTENT["one"]) + sha(CONTENT["two"])).encode())
        assert files.read(toy, allow_unofficial=False)[1] == expected


class TestStatus:
    def test_tells_every_state_and_fetches_nothing(self, cache, monkeypatch):
        contents = {name: name.encode() for name in ("good", "absent", "altered", "damaged")}
        toy = FileSet("toy", "http://127.0.0.1:1/", tuple(as_file(name, data) for name, data in contents.items()))
        put(cache, good=b"good", altered=b"other", damaged=b"damaged")
        (cache / "damaged.gz").write_bytes(b"\x1f\x8b\x08")
        monkeypatch.setattr(pooch, "retrieve", lambda *args, **kwargs: pytest.fail("status fetched"))
        good, absent, altered, damaged = files.status(toy)
        assert (good.path, good.sha256, good.official, good.problem) == (cache / "good.gz", sha(b"good"), True, None)
        assert (absent.file, absent.path, absent.sha256, absent.official) == ("absent", None, None, False)
        assert (altered.path, altered.sha256, altered.official) == (cache / "altered.gz", sha(b"other"), False)
        assert sha(b"altered") in altered.problem
        assert (damaged.path, damaged.sha256, damaged.official) == (cache / "damaged.gz", None, False)
        assert "damaged" in damaged.problem

    def test_an_unknown_name_lists_the_known(self):
        with pytest.raises(DataError, match=r"called 'mnits' \(did you mean 'mnist'\?\); there are: mnist"):
            datasets.find("mnits")


class TestFetching:
    def test_fetches_what_is_absent_and_only_once(self, served, cache, toy, capsys):
        folder, address, asked = served
        put(folder, **CONTENT)
        put(cache, one=CONTENT["one"])
        for _ in range(2):
            found = files.fetch(replace(toy, address=address))
            assert [(state.file, state.official) for state in found] == [("one", True), ("two", True)]
        assert asked == ["/two.gz"]
        assert left(cache) == ["one.gz", "two.gz"]
        assert capsys.readouterr() == ("", "")

    def test_reading_fetches_too(self, served, cache, toy):
        folder, address, _ = served
        put(folder, **CONTENT)
        contents, _, _ = files.read(replace(toy, address=address), allow_unofficial=False)
        assert [data for _, data in contents] == list(CONTENT.values())
        assert {path.parent for path, _ in contents} == {cache}

    def test_a_terminal_gets_a_progress_bar(self, served, toy, monkeypatch, capsys):
        folder, address, _ = served
        put(folder, **CONTENT)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
        files.fetch(replace(toy, address=address))
        assert "100%" in capsys.readouterr().err

    def test_several_at_once_do_not_disturb_each_other(self, served, cache, toy):
        folder, address, _ = served
        put(folder, **CONTENT)
        pooch.get_logger().setLevel("WARNING")
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(files.fetch, [replace(toy, address=address)] * 4))
        assert all(state.official for found in results for state in found)
        assert left(cache) == ["one.gz", "two.gz"]

    def test_a_download_with_another_sum_is_refused_and_not_kept(self, served, cache, toy):
        folder, address, _ = served
        put(folder, **{**CONTENT, "one": b"altered"})
        with pytest.raises(DataError, match=r"one\.gz is absent and could not be fetched") as caught:
            files.fetch(replace(toy, address=address))
        assert toy.files[0].archive_sha256 in str(caught.value)
        assert sha(gzip.compress(b"altered", mtime=0)) in str(caught.value)
        assert left(cache) == []

    def test_a_file_that_the_server_lacks(self, served, cache, toy):
        _, address, _ = served
        with pytest.raises(DataError, match=rf"tried: {address}one\.gz: HTTPError: 404"):
            files.fetch(replace(toy, address=address))
        assert left(cache) == []

    def test_a_silent_server_is_given_up(self, cache, toy, monkeypatch):
        monkeypatch.setattr(files, "TIMEOUT_SECONDS", 0.1)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            start = time.monotonic()
            with pytest.raises(DataError, match=r"one\.gz: ReadTimeout"):
                files.fetch(replace(toy, address=address))
            assert time.monotonic() - start < 10
        assert left(cache) == []

    def test_a_connection_that_breaks_leaves_nothing(self, cache, toy):
        packed = gzip.compress(CONTENT["one"], mtime=0)

        def answer(server):
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(packed)}\r\n\r\n"
                connection.sendall(head.encode() + packed[:20])

        with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
            pool.submit(answer, server)
            address = f"http://127.0.0.1:{server.getsockname()[1]}/"
            with pytest.raises(DataError, match=r"one\.gz is absent and could not be fetched"):
                files.fetch(replace(toy, address=address))
        assert left(cache) == []

    @pytest.mark.parametrize("error", [OSError("no route"), requests.ConnectionError("no route")])
    @pytest.mark.parametrize("function", [files.fetch, partial(files.read, allow_unofficial=True)])
    def test_absent_and_offline_says_both_ways_out(self, cache, toy, tmp_path, monkeypatch, error, function):
        def refuse(*args, **kwargs):
            raise error

        monkeypatch.setattr(pooch, "retrieve", refuse)
        monkeypatch.setenv("RBENCH_DATA", str(tmp_path / "mine"))
        with pytest.raises(DataError) as caught:
            function(toy)
        message = str(caught.value)
        for part in (
            "one.gz",
            f"{tmp_path / 'mine' / 'toy'}, {tmp_path / 'mine'}, {cache}",
            f"{toy.address}one.gz: {type(error).__name__}: no route",
            "`rbench data fetch toy`",
            "set RBENCH_DATA to a folder that holds toy/one.gz",
        ):
            assert part in message
        assert "not set" not in message

    def test_nobody_listens(self, cache, toy):
        with pytest.raises(DataError, match=r"\(RBENCH_DATA is not set\)\n  tried: .*ConnectionError"):
            files.fetch(toy)
        assert left(cache) == []


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
