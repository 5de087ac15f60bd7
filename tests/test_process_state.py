"""What rbench leaves as it was in a process that uses it: settings of libraries, of Python and of the system.

Each case is a fresh process, which prints the settings that a call has changed.
"""

import importlib.util
import json
import os

import pytest

from helpers.command import python

SNAPSHOT = """
import gc, json, locale, logging, os, random, signal, sys, threading, warnings
import numpy as np, scipy.linalg, scipy.special, threadpoolctl

def settings():
    found = {
        "numpy errors": np.geterr(), "numpy print": np.get_printoptions(),
        "numpy random": np.random.get_state()[1].sum(),
        "random": random.getstate(), "environment": dict(os.environ), "warnings": list(warnings.filters),
        "directory": os.getcwd(), "umask": mask(), "locale": locale.setlocale(locale.LC_ALL), "gc": gc.get_threshold(),
        "recursion": sys.getrecursionlimit(), "hooks": (sys.excepthook, sys.displayhook, threading.excepthook),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "logging": {n: (l.level, len(l.handlers), l.propagate) for n, l in logging.root.manager.loggerDict.items()
                    if isinstance(l, logging.Logger) and n in KNOWN} | {"": logging.root.level},
        "threads": {p["filepath"]: p["num_threads"] for p in threadpoolctl.threadpool_info()},
    }
    if "jax" in sys.modules:
        import jax
        found["jax"] = {k: v for k, v in jax.config.values.items()} | {
            "x64": jax.config.jax_enable_x64, "precision": jax.config.jax_default_matmul_precision}
    if "torch" in sys.modules:
        import torch
        on = torch.backends
        found["torch"] = [
            torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
            torch.get_float32_matmul_precision(),
            on.cuda.matmul.allow_tf32, on.cudnn.allow_tf32, on.cudnn.benchmark, torch.initial_seed(),
            torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().sum().item()]
    return found

def mask():
    value = os.umask(0)
    os.umask(value)
    return value

KNOWN = set()

def changed(call):
    KNOWN.update(logging.root.manager.loggerDict)
    before = settings()
    call()
    after = settings()
    return [name for name in before if repr(before[name]) != repr(after[name])]

def problem(name, dtype):
    import rbench
    backend = rbench.get_backend(name, dtype=dtype)
    net = rbench.Linear(4, 3) >> rbench.Tanh() >> rbench.Linear(3, 2)
    x, y = np.arange(20.0).reshape(5, 4) / 10, np.arange(5) % 2
    return backend, (net, net.init(backend, seed=0), x, y), {"loss": "cross_entropy", "backend": backend}

def each(name, dtype):
    import rbench
    from rbench.testing import short_cases, verify
    backend, given, options = problem(name, dtype)
    rbench.loss_gradient(*given, **options)
    for metric in ("ggn", "ggn_mc", "true_vs_rest"):
        rbench.riemannian_gradient(*given, output_metric=metric, **options)
    rbench.layer_metrics(*given, **options)
    try:
        rbench.riemannian_gradient(*given, **options, mass=-1.0)
    except rbench.errors.RbenchError:
        pass
    backend.compile(lambda x: x @ x.T)(backend.asarray(given[2]))
    cases = [case for case in short_cases() if case.check in ("arrays", "labels", "cholesky")]
    assert all(result.passed for result in verify(backend, cases))
"""


def changes(code, **variables):
    """The settings that a snippet of code changes, in a fresh process."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "OPENBLAS_", "JAX_"))}
    said = python(f"{SNAPSHOT}\n{code}", env=env | {"PYTHONWARNINGS": "error::UserWarning"} | variables)
    return json.loads(said.splitlines()[-1])


PREPARE = {
    "numpy": "",
    "torch": "import torch; torch.set_float32_matmul_precision('medium'); torch.set_num_threads(3)",
    "jax": "import jax; mine = jax.numpy.arange(3)",
}
"""How a user has set a library up, otherwise than rbench would."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PREPARE)
def test_the_public_functions_leave_a_process_as_it_was(name, dtype):
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    code = f"{PREPARE[name]}\nprint(json.dumps(changed(lambda: each({name!r}, {dtype!r}))))"
    # JAX has float64 only in a process that is switched to it, and `get_backend` says so.
    assert changes(code) == (["jax"] if (name, dtype) == ("jax", "float64") else [])


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
@pytest.mark.parametrize("switched", ["0", "1"])
def test_jax_at_float32_keeps_a_configuration_and_its_arrays(switched):
    code = f"""
import jax, jax.numpy as jnp
jax.config.update("jax_default_matmul_precision", "bfloat16")
mine, kind = jnp.arange(3), jnp.arange(3).dtype
backend, given, options = problem("jax", "float32")
import rbench
net, params, x, y = given
direction = rbench.riemannian_gradient(net, params, jnp.asarray(x), jnp.asarray(y), **options)
new = jax.tree.map(lambda w, d: w - 0.1 * d, params, direction)
assert all(array.dtype == "float32" for block in new for array in block.values())
assert (backend.labels(y).dtype, backend.asarray(x).dtype) == ("int64", "float32")
assert jnp.arange(3).dtype == mine.dtype == kind == ("int64" if {switched} else "int32")
assert (jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision) == (bool({switched}), "bfloat16")
print(json.dumps([str((mine + new[0]["bias"]).dtype)]))
"""
    assert changes(code, JAX_ENABLE_X64=switched) == ["float32"]


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_jax_computes_in_full_precision_whatever_the_user_has_set():
    code = """
import jax, rbench
backend, given, options = problem("jax", "float32")
jax.config.update("jax_default_matmul_precision", "bfloat16")
seen = []

def traced(x):
    seen.append((str(jax.config.jax_default_matmul_precision), jax.numpy.arange(3).dtype == "int64"))
    return x @ x.T

backend.compile(traced)(given[1][0]["weight"])
print(json.dumps([list(one) for one in seen]))
"""
    assert changes(code) == [["highest", True]]


def test_overlapping_blocks_restore_a_setting_once():
    from rbench.settings import Setting

    told = []
    setting = Setting(lambda: told.append("changed") or (lambda: told.append("restored")))
    with setting:
        with setting:
            pass
        assert told == ["changed"]
    assert told == ["changed", "restored"]


@pytest.mark.parametrize(
    "call",
    [
        "import rbench",
        "import rbench; [getattr(rbench, name) for name in rbench.__all__]",
        "import rbench.cli",
        "from rbench.plugins import available; available()",
        "from rbench.run.provenance import provenance; provenance()",
        "from rbench.run import Request; Request().cells(); from rbench.run import read_records",
    ],
)
def test_importing_and_looking_leave_a_process_as_it_was(call):
    assert changes(f"print(json.dumps(changed(lambda: exec({call!r}, {{}}))))") == []
