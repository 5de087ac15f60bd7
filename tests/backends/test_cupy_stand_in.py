"""The CuPy backend without a device: its logic holds on a stand-in for CuPy."""

import functools
import sys
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace

import array_api_compat
import array_api_compat.numpy
import numpy as np
import pytest
import scipy.linalg
import scipy.special

from helpers.faults import cell
from rbench.errors import BackendError
from rbench.experiment import Limits, Outcome
from rbench.plugins import get_backend
from rbench.run import Budget
from rbench.testing import cases, short_cases, verify

SOURCE = Path(find_spec("rbench_cupy").origin).with_name("backend.py")


class DeviceArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array that, like CuPy's, does not mix with NumPy's and is not read by them; single entries stay arrays."""

    def __init__(self, host):
        self.host = np.asarray(host)

    def __getattr__(self, name):
        if name not in ("shape", "ndim", "dtype", "device", "size", "T", "mT", "copy", "reshape", "astype", "item"):
            raise AttributeError(f"the stand-in's arrays have no {name!r}")
        return on_device(getattr(self.host, name))

    def __array__(self, *arguments, **options):
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return on_device(getattr(ufunc, method))(*inputs, **options)

    def __getitem__(self, key):
        return on_device(self.host.__getitem__)(key)

    def __setitem__(self, key, value):
        self.host[key] = host(value)

    def __len__(self):
        return len(self.host)

    def __float__(self):
        return float(self.host)

    def __bool__(self):
        return bool(self.host)


def on_device(value):
    """A function of NumPy as one of device arrays alone, which refuses NumPy's; results as device arrays."""
    if isinstance(value, tuple):
        parts = map(on_device, value)
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, np.ndarray | np.generic):
        return DeviceArray(value)
    if not callable(value) or isinstance(value, type):
        return value

    @functools.wraps(value)
    def function(*arguments, **options):
        given = [host(argument) for argument in arguments]
        return on_device(value(*given, **{key: host(argument) for key, argument in options.items()}))

    return function


def host(value):
    """The NumPy array of a device array, in nested tuples and lists too."""
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, tuple | list):
        return type(value)(map(host, value))
    return value.host if isinstance(value, DeviceArray) else value


class Namespace(ModuleType):
    """A module's functions on device arrays, but for those given."""

    def __init__(self, of, **given):
        super().__init__(of.__name__)
        self.of = of
        vars(self).update(given)

    def __getattr__(self, name):
        value = getattr(self.of, name)
        return Namespace(value) if isinstance(value, ModuleType) else on_device(value)


class Device(str):
    """Device 0 or 1; equal to the name of NumPy's only device, which its creation functions take."""

    used = None
    mem_info = (700_000_000, 1_000_000_000)

    def __new__(cls, index):
        device = super().__new__(cls, "cpu")
        device.id, device.waits = index, 0
        return device

    def use(self):
        Device.used = self.id

    def synchronize(self):
        self.waits += 1


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


def stand_in():
    """CuPy and CuPyX as the backend uses them, by module."""
    checked = [False]

    @contextmanager
    def errstate(*, linalg):
        checked.append(linalg == "raise")
        try:
            yield
        finally:
            checked.pop()

    def solved(name, *arguments, **options):
        """A result of LAPACK; failure is an error only within `errstate`, as CuPy has it."""
        (routine,) = scipy.linalg.get_lapack_funcs((name,), arguments)
        *_, result, info = routine(*arguments, **options)
        if info and checked[-1]:
            raise np.linalg.LinAlgError(f"Error reported by {name}: {info}")
        return result

    properties = {0: {"name": b"first"}, 1: {"name": b"second"}}
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 2, getDeviceProperties=properties.__getitem__, runtimeGetVersion=lambda: 12040
    )
    memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
    pool = SimpleNamespace(total_bytes=lambda: 512, free_bytes=lambda: 12)
    cupy = Namespace(
        np,
        __version__="0",
        _core=SimpleNamespace(get_compute_type=lambda dtype: f"{dtype} itself"),
        asarray=lambda values, dtype: DeviceArray(np.array(getattr(values, "host", values), dtype)),
        asnumpy=lambda array: array.host.copy() if isinstance(array, DeviceArray) else np.asarray(array),
        cuda=SimpleNamespace(Device=Device, memory=memory, runtime=runtime),
        get_default_memory_pool=lambda: pool,
        linalg=SimpleNamespace(
            cholesky=on_device(lambda a: solved("potrf", a, lower=1)),
            inv=on_device(lambda a: solved("gesv", a, np.eye(len(a), dtype=a.dtype))),
        ),
        ndarray=DeviceArray,
    )
    return {
        "cupy": cupy,
        "cupyx": Namespace(scipy, errstate=errstate),
        "cupyx.scipy": Namespace(scipy),
        "cupyx.scipy.linalg": Namespace(scipy.linalg),
        "cupyx.scipy.special": Namespace(scipy.special),
        "array_api_compat.cupy": Namespace(array_api_compat.numpy),
    }


@pytest.fixture
def backend_class(monkeypatch):
    """The plugin's class, as it is on the stand-in."""
    for name, module in stand_in().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(array_api_compat, "cupy", sys.modules["array_api_compat.cupy"], raising=False)
    spec = spec_from_file_location("cupy_backend_on_the_stand_in", SOURCE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CupyBackend


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_backend_passes_the_gate_on_the_stand_in(backend_class, dtype):
    results = verify(backend_class(dtype), cases())
    assert len(results) == len(cases()) > 200
    assert [str(result) for result in results if not result.passed] == []
    assert max(result.error for result in results) > 0


def test_a_nan_pivot_that_the_library_lets_pass_is_told(backend_class, monkeypatch):
    monkeypatch.setattr(sys.modules["cupy"].linalg, "cholesky", lambda matrix: DeviceArray(np.diag([1, np.nan, 1])))
    backend = backend_class("float64")
    lower = backend.to_numpy(backend.cholesky(backend.asarray(np.eye(3))))
    assert np.isnan(lower[np.tril_indices(3)]).all()


def test_a_wrong_function_does_not_pass(backend_class):
    class Wrong(backend_class):
        def solve_triangular(self, lower, rhs, *, transpose=False):
            return super().solve_triangular(lower, rhs)

    assert not all(result.passed for result in verify(Wrong("float64"), short_cases()))


@pytest.mark.parametrize("method", ["sgd", "riemannian[output_metric=ggn_mc]", "kfac[damping_split=eigen]", "naive"])
def test_training_on_the_stand_in_mixes_no_host_arrays_in(backend_class, method):
    asked = cell(method, dtype="float64", budget=Budget(epochs=2))
    histories = []
    for backend in (backend_class("float64"), get_backend("numpy", dtype="float64")):
        outcome = Outcome()
        asked.run(backend, outcome, print, Limits())
        histories.append([[entry["step"], entry["train_loss"], entry["test_loss"]] for entry in outcome.history])
    assert len(histories[0]) == 7
    np.testing.assert_allclose(*histories, rtol=1e-10)


def test_the_stand_in_refuses_what_cupy_refuses(backend_class):
    backend, host_array = backend_class("float64"), np.ones((2, 2))
    device_array = backend.asarray(host_array)
    for wrong in (
        lambda: device_array + host_array,
        lambda: host_array @ device_array,
        lambda: backend.xp.sum(host_array),
        lambda: np.asarray(device_array),
    ):
        with pytest.raises(TypeError, match=r"Unsupported type|Implicit conversion"):
            wrong()


def test_the_device_is_the_one_asked_for(backend_class):
    second = backend_class("float32", "cuda:1")
    assert (second.device, second.native_device.id, Device.used) == ("cuda:1", 1, 1)
    assert backend_class("float32").native_device.id == Device.used == 0
    second.synchronize()
    assert second.native_device.waits == 1
    for device in ("cuda:2", "cuda:99"):
        with pytest.raises(BackendError, match=f"'cupy' has no device '{device}': there are 2, counted from cuda:0"):
            backend_class("float32", device)


def test_memory_and_description(backend_class):
    backend = backend_class("float64", "cuda:1")
    assert (backend.peak_device_bytes(), backend.free_bytes()) == (512, 700_000_012)
    assert backend.is_out_of_memory(OutOfMemoryError())
    assert backend.is_out_of_memory(MemoryError())
    assert not backend.is_out_of_memory(RuntimeError("out of memory"))
    described = backend.describe()
    assert described == {"cupy": "0", "device": "second", "cuda": "12040", "compute type": "float64 itself"}
    assert not backend.eager
