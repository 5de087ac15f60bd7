"""What cannot run here is refused in words, at once: no framework is imported, and nothing is written."""

import ctypes
import json
import sys
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from types import SimpleNamespace

import pytest

from helpers.command import python
from rbench import from_torch, probe
from rbench.errors import BackendError
from rbench.plugins import find_backend

FRAMEWORKS = {"torch", "jax", "jaxlib", "cupy", "cupyx", "cupy_backends"}
INSTALL = {
    "torch": "pip install torch",
    "jax": "pip install jax",
    "cupy": "pip install 'cupy-cuda12x[ctk]' (cupy-cuda13x for CUDA 13)",
}
DEVICES = {"numpy": ["cpu"], "torch": ["cpu", "cuda"], "jax": ["cpu", "cuda"], "cupy": ["cuda"]}

# Runs commands in one process whose interpreter lacks some packages, and says what each printed and what was imported.
SCRIPT = """
import importlib.metadata, io, json, sys, traceback
from contextlib import redirect_stderr, redirect_stdout

missing, commands = json.loads(sys.argv[1])
installed = importlib.metadata.version

def version(name):
    if name.partition("-")[0] in missing:
        raise importlib.metadata.PackageNotFoundError(name)
    return installed(name)

importlib.metadata.version = version
for name in missing:
    sys.modules[name] = None

from rbench.cli import main

for words in commands:
    sys.argv, code, out, err = ["rbench", *words.split()], None, io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = end.code
        except BaseException:
            traceback.print_exc()
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}))
print(json.dumps([name for name, module in sys.modules.items() if module is not None]))
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Runs commands, without the packages `missing`, in a folder in which they must leave nothing."""

    @cache
    def run(*commands, missing=()):
        folder = tmp_path_factory.mktemp("here")
        said = python(SCRIPT, json.dumps([missing, commands]), cwd=folder)
        *ends, modules = map(json.loads, said.splitlines())
        assert FRAMEWORKS & set(modules) == set()
        assert list(folder.iterdir()) == []
        return [SimpleNamespace(**end) for end in ends]

    return run


def refused(done):
    """The words of the one message of a command that was refused, without the list of what is available."""
    assert done.code == 2, done.err
    assert done.out == ""
    assert done.err.startswith("rbench: ")
    first, *others = done.err.splitlines()
    assert len(others) <= 1
    return first.removeprefix("rbench: "), "".join(others)


@pytest.mark.parametrize("name", INSTALL)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["run", "run into a directory", "verify"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(commands, name, place):
    runs = [f"run -b {name}", f"run quick -b numpy -b {name} -o here --steps 1", f"verify -b {name}"]
    words, others = refused(commands(*runs, missing=(name,))[place])
    reason = f"the package '{name}' is not installed; install it with: {INSTALL[name]}"
    assert words.startswith(f"backend '{name}' is unavailable: {reason}")
    assert others.startswith("available here: ")
    listed = others.removeprefix("available here: ")
    assert "numpy" in listed
    assert name not in listed


def test_with_nothing_else_installed_numpy_is_available(commands):
    (done,) = commands("run -b torch", missing=("torch", "jax", "cupy"))
    assert refused(done)[1] == "available here: numpy"


@pytest.mark.skipif(find_spec("jax") is None, reason="jax is not installed")
def test_jax_is_listed_with_its_devices_where_it_is_available(commands):
    (done,) = commands("run -b torch", missing=("torch", "cupy"))
    assert refused(done)[1] in ("available here: jax (cpu), numpy", "available here: jax (cpu, cuda), numpy")


@pytest.mark.parametrize("name", DEVICES)
@pytest.mark.parametrize("missing", [(), ("torch",), ("jax",), ("cupy",), ("torch", "jax", "cupy")])
def test_the_list_has_every_backend_and_why_it_cannot_run(commands, missing, name):
    text, table = commands("list backends", "list backends --json", missing=missing)
    assert (text.code, text.err, table.code, table.err) == (0, "", 0, "")
    found = {item["name"]: item for item in json.loads(table.out)["backends"]}
    item, (line,) = found[name], (line for line in text.out.splitlines() if line.split()[0] == name)
    assert (item["devices"], item["dtypes"]) == (DEVICES[name], ["float32", "float64"])
    assert f"devices: {', '.join(DEVICES[name])}; dtypes: float32, float64" in line
    assert item["status"] in line
    if name in missing:
        assert item["status"].startswith(f"the package '{name}' is not installed; install it with: {INSTALL[name]}")
        assert item["version"] is None
        assert "version" not in line
    elif name != "cupy" and find_spec(name) is not None:
        assert item["status"] == "available"
        assert item["version"] == version(name)
        assert f"version: {item['version']}" in line


def test_cupy_without_a_driver(commands):
    if find_spec("cupy") is None:
        pytest.skip("cupy is not installed")
    if probe.cuda_problem() is None:
        pytest.skip("there is a CUDA device here")
    run, verify, listed = commands("run -b cupy", "verify -b cupy --dtype float32", "list backends --json")
    for done in (run, verify):
        words, others = refused(done)
        assert words == f"backend 'cupy' is unavailable: {probe.cuda_problem()}"
        assert others.startswith("available here: ")
    (cupy,) = (item for item in json.loads(listed.out)["backends"] if item["name"] == "cupy")
    assert cupy["status"] == probe.cuda_problem()
    assert cupy["version"][0].isdigit()


@pytest.mark.parametrize("device", ["cuda", "cuda:99"])
@pytest.mark.parametrize(("name", "way_out"), [("torch", "https://pytorch.org/get-started"), ("jax", "jax[cuda12]")])
def test_cuda_that_the_build_lacks(commands, name, way_out, device):
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    reason = find_backend(name).device_unavailable("cuda")
    if reason is None:
        pytest.skip(f"{name} can use CUDA here")
    if reason == probe.cuda_problem():
        pytest.skip(f"this build of {name} has CUDA, the machine has not")
    run, verify = commands(f"run -b {name} --device {device} -o here", f"verify -b {name} --device {device}")
    words, others = refused(run)
    assert refused(verify) == (words, others)
    assert words == f"device '{device}' of backend '{name}' is unavailable: {reason}"
    assert way_out in reason
    assert name in others


REFUSED = {
    "-b torch --dtype float32 --device mps": "backend 'torch' has no device 'mps'; choose one of cpu, cuda",
    "-b jax --dtype float32 --device tpu": "backend 'jax' has no device 'tpu'; choose one of cpu, cuda",
    "-b cupy --dtype float32 --device cpu": "backend 'cupy' has no device 'cpu'; choose one of cuda",
    "-b torch --dtype float16": "backend 'torch' has no dtype 'float16'; choose one of float32, float64",
    "-b jax --dtype bfloat16": "backend 'jax' has no dtype 'bfloat16'; choose one of float32, float64",
    "-b cupy --dtype float16": "backend 'cupy' has no dtype 'float16'; choose one of float32, float64",
    "-b numpy --dtype float64 --dtype double": "backend 'numpy' has no dtype 'double'; choose one of float32, float64",
    "-b numpy -b jaxx": "no backend is called 'jaxx' (did you mean 'jax'?); there are: ",
}


@pytest.mark.parametrize("place", [0, 1], ids=["run", "verify"])
@pytest.mark.parametrize("words", REFUSED)
def test_what_no_backend_has_is_refused(commands, words, place):
    both = [f"{command} {words}" for words in REFUSED for command in ("run -o here", "verify")]
    message, others = refused(commands(*both)[2 * list(REFUSED).index(words) + place])
    assert message.startswith(REFUSED[words])
    assert others == ""


NO_DRIVER = "there is no NVIDIA driver (libcuda.so.1); use a machine with an NVIDIA GPU and its driver"
CHECK = "; check nvidia-smi and CUDA_VISIBLE_DEVICES"


@pytest.mark.parametrize(
    ("status", "devices", "counted", "problem"),
    [
        (0, 1, 0, None),
        (0, 8, 0, None),
        (0, 0, 0, "the NVIDIA driver finds no device" + CHECK),
        (100, 1, 0, "the NVIDIA driver finds no device (CUDA error 100)" + CHECK),
        (999, 0, 0, "the NVIDIA driver finds no device (CUDA error 999)" + CHECK),
        (0, 0, 3, "the NVIDIA driver finds no device (CUDA error 3)" + CHECK),
        (None, 0, 0, NO_DRIVER),
    ],
)
def test_the_driver_is_asked_for_devices(monkeypatch, status, devices, counted, problem):
    def library(name):
        assert name == "libcuda.so.1"
        if status is None:
            raise OSError(f"{name}: cannot open shared object file")

        def count(pointer):
            assert status == 0, "asked before it was initialised"
            ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = devices
            return counted

        return SimpleNamespace(cuInit=lambda flags: status + flags, cuDeviceGetCount=count)

    monkeypatch.setattr(ctypes, "CDLL", library)
    assert probe.cuda_problem.__wrapped__() == problem


def test_packages_that_are_not_there():
    assert probe.package_problem("numpy", "pip install numpy") is None
    words = probe.package_problem("no_such_package", "pip install it")
    assert words == "the package 'no_such_package' is not installed; install it with: pip install it"
    assert probe.package_folder("no_such_package") is None
    assert (probe.package_folder("numpy") / "linalg").is_dir()
    assert probe.installed_version("no-such-package", "numpy", "scipy") == version("numpy")
    assert probe.installed_version("no-such-package") is None


def test_without_its_library_a_network_is_not_converted(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BackendError, match=r"backend 'torch' is unavailable: .*pip install torch"):
        from_torch(None)
