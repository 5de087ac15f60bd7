"""TLS between a run, a scheduler and workers, on loopback, with an authority made here; and addresses that are none."""

import re
import shutil
import socket
import subprocess
import threading
import time
from contextlib import closing

import pytest

from helpers.command import call
from helpers.command import ended as finished
from test_cluster import Machines, records_of

pytest.importorskip("distributed")


def openssl(folder, *words):
    subprocess.run(["openssl", *map(str, words)], cwd=folder, check=True, capture_output=True)


def authority(folder, name):
    """A certificate that signs others, and its key."""
    words = ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem", "-days", 2)
    openssl(folder, "req", "-x509", *words, "-subj", f"/CN={name}")


def signed(folder, name, by):
    """A certificate that an authority has signed, and its key."""
    words = ("-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr")
    openssl(folder, "req", *words, "-subj", f"/CN={name}")
    words = ("-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial", "-out", f"{name}.pem")
    openssl(folder, "x509", "-req", *words, "-days", 2)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with two authorities, a certificate by each, and files that can serve as none."""
    if shutil.which("openssl") is None:
        pytest.skip("the program openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "otherca"):
        authority(folder, name)
    signed(folder, "run", "ca"), signed(folder, "stranger", "otherca")
    openssl(folder, "rsa", "-in", "run.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
    (folder / "both.pem").write_bytes((folder / "run.pem").read_bytes() + (folder / "run.key").read_bytes())
    (folder / "words.pem").write_text("no certificate\n")
    (folder / "folder").mkdir()
    return folder


def options(files, ca="ca.pem", cert="run.pem", key="run.key"):
    names = {"--tls-ca": ca, "--tls-cert": cert, "--tls-key": key}
    return [str(word) for option, name in names.items() if name for word in (option, files / name)]


def refused(*words, seconds=30):
    """What the command says of a scheduler, with exit status 2 and within a time."""
    start = time.monotonic()
    done = call("run", "-t", "two-spirals", "-m", "sgd", "--threads", 1, "--executor", "dask", *words)
    assert (done.exit_code, done.exception.__class__) == (2, SystemExit), done.output
    assert time.monotonic() - start < seconds
    assert "Traceback" not in done.output
    return done.output


TLS = ("--scheduler", "tls://127.0.0.1:9")


class TestFiles:
    @pytest.mark.parametrize(
        ("chosen", "words"),
        [
            ({"ca": "none.pem"}, "--tls-ca .*none.pem' cannot be read: No such file"),
            ({"cert": "folder"}, "--tls-cert .*folder' cannot be read: Is a directory"),
            ({"key": "none.key"}, "--tls-key .*none.key' cannot be read: No such file"),
            ({"ca": "words.pem"}, "--tls-ca .*words.pem' holds no certificate in PEM form"),
            ({"ca": "run.key"}, "--tls-ca .*run.key' holds no certificate in PEM form"),
            ({"cert": "words.pem"}, "--tls-cert .*words.pem' and --tls-key .* are no certificate and private key"),
            ({"key": "words.pem"}, "are no certificate and private key in PEM form"),
            ({"key": "stranger.key"}, "--tls-cert .*run.pem' does not belong to --tls-key .*stranger.key'"),
            ({"key": "locked.key"}, "--tls-key .*locked.key' has a passphrase"),
            ({"key": None}, "--tls-cert .*run.pem' and its own key .there is no --tls-key. are no"),
            ({"ca": "otherca.pem"}, "--tls-cert .*run.pem' is not valid by --tls-ca .*otherca.pem'"),
        ],
        ids=str,
    )
    def test_files_that_cannot_serve_are_named_before_anything_starts(self, files, chosen, words):
        assert re.search(words, refused(*TLS, *options(files, **chosen), seconds=5))

    def test_a_key_in_the_file_of_its_certificate_will_do(self, files, monkeypatch):
        monkeypatch.setattr("rbench.run.cluster.connection.CONNECT_SECONDS", 0.5)
        said = refused(*TLS, *options(files, cert="both.pem", key=None))
        assert "the scheduler tls://127.0.0.1:9 cannot be reached: Timed out" in said

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (("--tls-ca", "ca.pem"), "TLS needs --tls-cert, too"),
            (("--tls-key", "run.key"), "TLS needs --tls-ca and --tls-cert, too"),
            (
                ("--scheduler", "tcp://127.0.0.1:9", "--tls-ca", "a", "--tls-cert", "b"),
                "tcp://127.0.0.1:9 is without TLS",
            ),
            (("--scheduler", "127.0.0.1:9", "--tls-ca", "a", "--tls-cert", "b"), "127.0.0.1:9 is without TLS"),
            ((), "--scheduler tls://127.0.0.1:9 needs certificates; give --tls-ca"),
        ],
    )
    def test_options_that_do_not_fit_are_refused(self, words, reason):
        assert reason in refused(*(() if "--scheduler" in words else TLS), *words, seconds=5)

    def test_what_is_for_other_machines_is_refused_on_this_one(self):
        for words in (("run", "--tls-ca", "ca.pem"), ("run", "step-time", "--tls-key", "run.key")):
            done = call(*words)
            assert (done.exit_code, words[-2] in done.output) == (2, True), done.output


@pytest.fixture(scope="module")
def secure(files, tmp_path_factory):
    """A scheduler and a worker with TLS."""
    for_dask = ("--tls-ca-file", files / "ca.pem", "--tls-cert", files / "run.pem", "--tls-key", files / "run.key")
    machines = Machines(tmp_path_factory.mktemp("machines"), *for_dask, "--protocol", "tls")
    try:
        machines.worker()
        yield machines
    finally:
        machines.close()


class TestConnections:
    words = ("-m", "sgd", "--seeds", 1, "-b", "cluster-numpy")

    def test_a_run_over_tls(self, secure, files, tmp_path):
        assert secure.address.startswith("tls://127.0.0.1:")
        done = finished(secure.run(*self.words, *options(files), "-o", tmp_path / "run"))
        assert done.code == 0, done.err
        (record,) = records_of(tmp_path / "run").values()
        assert record.provenance["worker"].startswith("tls://127.0.0.1:")

    def test_a_run_with_dasks_own_configuration(self, secure, files, tmp_path, monkeypatch):
        names = {"CA_FILE": "ca.pem", "CLIENT__CERT": "run.pem", "CLIENT__KEY": "run.key"}
        tls = {f"DASK_DISTRIBUTED__COMM__TLS__{name}": str(files / file) for name, file in names.items()}
        monkeypatch.setattr(secure, "env", secure.env | tls)
        done = finished(secure.run(*self.words, "-o", tmp_path / "run"))
        assert done.code == 0, done.err

    def test_who_has_no_certificate_of_the_authority_is_refused(self, secure, files, tmp_path):
        stranger = options(files, "otherca.pem", "stranger.pem", "stranger.key")
        for address, words in ((secure.address, stranger), (secure.address.replace("tls", "tcp"), ())):
            said = refused("--scheduler", address, *words, "-o", str(tmp_path / "run"))
            assert f"the scheduler {address} cannot be reached" in said
            assert not (tmp_path / "run").exists()


def silent(connection):
    time.sleep(60)


def http(connection):
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 20)


def hangs_up(connection):
    connection.close()


@pytest.fixture
def answering(request):
    """The address of a server that is no scheduler."""
    server, connections = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            connections.append(connection)
            threading.Thread(target=request.param, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    with closing(server):
        yield f"127.0.0.1:{server.getsockname()[1]}"
    for connection in connections:
        connection.close()


class TestAddresses:
    @pytest.mark.parametrize("answering", [silent, http, hangs_up], indirect=True)
    def test_a_server_that_is_no_scheduler_is_refused_within_seconds(self, answering, monkeypatch):
        monkeypatch.setattr("rbench.run.cluster.connection.CONNECT_SECONDS", 2.0)
        said = refused("--scheduler", f"tcp://{answering}", seconds=10)
        assert f"the scheduler tcp://{answering} cannot be reached" in said

    @pytest.mark.parametrize(
        ("address", "words"),
        [
            ("ucx://127.0.0.1:8786", "rbench does not speak ucx://"),
            ("inproc://127.0.0.1/1/1", "rbench does not speak inproc://"),
            ("http://127.0.0.1:8786", "rbench does not speak http://"),
            ("tcp://:8786", "it names no machine"),
            ("", "missing port"),
            ("tcp://", "missing port"),
            ("tcp://127.0.0.1", "missing port"),
            ("tcp://127.0.0.1:x", "cannot be reached"),
            ("tcp://127.0.0.1:99999", "cannot be reached"),
            ("tcp://no.such.host.invalid:8786", "cannot be reached"),
            ("tcp://127.0.0.1:8786\n", "cannot be reached"),
            ("a" * 5000, "cannot be reached"),
        ],
    )
    def test_what_is_no_address_is_refused_within_seconds(self, address, words, monkeypatch):
        monkeypatch.setattr("rbench.run.cluster.connection.CONNECT_SECONDS", 2.0)
        said = refused("--scheduler", address, seconds=10)
        assert words in said
        assert "start one with `dask scheduler`" in said
        assert len(said) < 1500
