"""Files of public data sets: found, fetched, checked, refused."""

import gzip
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pooch
import pytest
import requests

from helpers.data_files import as_file, put, sha
from rbench.errors import DataError
from rbench.tasks import datasets, files
from rbench.tasks.files import FileSet

CONTENT = {"one": b"first content " * 40, "two": b"second content " * 4000}


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


def left(folder):
    return sorted(path.name for path in folder.glob("**/*") if path.is_file())


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
