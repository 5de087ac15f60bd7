"""The CuPy backend without a device: the names that it and the core use are in the installed CuPy."""

import ast
import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import rbench
from helpers.command import python
from rbench.plugins import plugins

SOURCE = Path(find_spec("rbench_cupy").origin).with_name("backend.py")
ROOT = Path(rbench.__file__).parent
WITHOUT_ARRAYS = ("report", "tune", "cli")
"""Parts that no backend's arrays come to; a matrix there is a data frame."""
CORE = sorted(path for path in ROOT.rglob("*.py") if path.relative_to(ROOT).parts[0] not in WITHOUT_ARRAYS)
OBJECTS = {
    "self.native_device": "cupy.cuda.Device",
    "self._pool": "cupy.cuda.MemoryPool",
    "matrix": "cupy.ndarray",
    "backend.xp": "array_api_compat.cupy",
    "problem.backend.xp": "array_api_compat.cupy",
    "xp": "array_api_compat.cupy",
}
"""What expressions of the source stand for, beside what it imports."""

# Looks names up in the installed CuPy; CUDA's own libraries, without which some of it cannot be imported, are hollow.
SCRIPT = """
import importlib, inspect, json, sys, types
import cupy, cupy_backends.cuda.libs as libs

for name in ("cublas", "cusolver", "cusparse", "curand"):
    try:
        getattr(libs, name)
    except ImportError:
        hollow = types.ModuleType(f"{libs.__name__}.{name}")
        hollow.__getattr__ = lambda name: None
        sys.modules[hollow.__name__] = hollow
        setattr(libs, name, hollow)

def look_up(path):
    found, names = importlib.import_module(path.split(".")[0]), path.split(".")
    for place, name in enumerate(names[1:], start=1):
        if not hasattr(found, name):
            importlib.import_module(".".join(names[: place + 1]))
        found = getattr(found, name)
    return found

for path, arguments in json.load(sys.stdin):
    try:
        found = look_up(path)
        if arguments is not None:
            try:
                signature = inspect.signature(found)
            except (TypeError, ValueError):
                continue
            signature.bind(*[None] * arguments[0], **dict.fromkeys(arguments[1]))
    except (AttributeError, ImportError, TypeError) as error:
        print(f"{path}: {error}")
"""


class Uses(ast.NodeVisitor):
    """What a source takes from CuPy: (dotted name, None), and (dotted name, (positional, keywords)) where it calls."""

    def __init__(self, source):
        self.names, self.found = dict(OBJECTS), []
        self.visit(ast.parse(source))

    def path(self, node):
        """The dotted name that an expression stands for, or None."""
        text = ast.unparse(node)
        roots = [name for name in self.names if text == name or text.startswith(f"{name}.")]
        if not roots or not re.fullmatch(r"[\w.]+", text):
            return None
        path = self.names[max(roots, key=len)] + text[len(max(roots, key=len)) :]
        return path if path.startswith(("cupy", "array_api_compat.cupy.")) else None

    def visit_Import(self, node):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            self.names[alias.asname or top] = alias.name if alias.asname else top

    def visit_ImportFrom(self, node):
        self.names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}

    def visit_Call(self, node):
        path = self.path(node.func)
        if path and not any(isinstance(argument, ast.Starred) for argument in node.args):
            self.found.append((path, (len(node.args), [word.arg for word in node.keywords if word.arg])))
        self.generic_visit(node)

    def visit_Attribute(self, node):
        if path := self.path(node):
            self.found.append((path, None))
        else:
            self.generic_visit(node)


def problems(source):
    """What a source uses that the installed CuPy lacks or does not take, a line each; and how much it uses."""
    if find_spec("cupy") is None:
        pytest.skip("cupy is not installed")
    uses = Uses(source).found
    return python(SCRIPT, input=json.dumps(uses)).splitlines(), len(uses)


def test_the_plugin_needs_no_cupy_until_a_backend_is_made():
    code = "import sys; sys.modules['cupy'] = None\nimport rbench_cupy; print(rbench_cupy.rbench_backends()[0].name)"
    assert python(code) == "cupy\n"
    assert plugins().find("backends", "cupy").devices == ("cuda",)


def test_what_the_backend_uses_is_in_cupy():
    found, count = problems(SOURCE.read_text())
    assert found == []
    assert count > 40


def test_what_the_core_uses_is_in_cupy():
    found, count = problems("\n".join(path.read_text() for path in CORE))
    assert found == []
    assert count > 100


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("import cupy\ncupy.linalg.choleski(a)", "cupy.linalg.choleski: "),
        ("import cupy as cp\ncp.full_like(a, 0, shap=3)", "cupy.full_like: got an unexpected keyword argument 'shap'"),
        ("from cupyx.scipy.linalg import solve_triangular\nsolve_triangular(a)", "missing a required argument: 'b'"),
        ("from cupyx.scipy.special import erff\nerff(a)", "cupyx.scipy.special.erff: "),
        ("def f(self):\n    return self._pool.total_byte()", "cupy.cuda.MemoryPool.total_byte: "),
        ("def f(backend, z):\n    return backend.xp.sum(z, axes=1)", "sum: got an unexpected keyword argument 'axes'"),
        ("xp.concatenat([z])", "array_api_compat.cupy.concatenat: "),
    ],
)
def test_a_wrong_name_or_argument_is_found(wrong, words):
    found, _ = problems(wrong)
    assert found
    assert all(words in line for line in found)
