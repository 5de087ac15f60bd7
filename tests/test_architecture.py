"""The core imports no framework, the command line starts light, and imports run downward only."""

import ast
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import pytest

import rbench
from helpers.command import loaded

ROOT = Path(importlib.util.find_spec("rbench").origin).parent
FILES = sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT / "templates")
"""All but the plugins that `rbench new` writes."""
FRAMEWORKS = {"torch", "jax", "jaxlib", "cupy", "tensorflow"}
PLUGGED_IN = {"rbench_numpy", "rbench_torch", "rbench_jax", "rbench_cupy", "rbench_suites"}
RANKS = {
    "errors": 0,
    "names": 0,
    "lazy": 0,
    "figures": 0,
    "charts": 0,
    "settings": 0,
    "text": 0,
    "hookspecs": 1,
    "arrays": 1,
    "probe": 1,
    "threads": 1,
    "sliding_window": 1,
    "random": 1,
    "checked": 1,
    "spec": 2,
    "backend": 2,
    "plugin_files": 1,
    "plugins": 3,
    "bounds": 1,
    "experiment": 4,
    "modules": 4,
    "conversion": 5,
    "losses": 5,
    "checks": 6,
    "metrics": 6,
    "solvers": 7,
    "api": 8,
    "methods": 9,
    "tasks": 9,
    "testing": 10,
    "train": 11,
    "run": 12,
    "cost": 13,
    "theory": 13,
    "sensitivity": 13,
    "tune": 13,
    "bundle": 13,
    "report": 14,
    "cli": 15,
}
"""A part may import parts of lower rank, and itself."""


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part(module):
    """The part of the package that `rbench.part.…` belongs to; empty for the package itself."""
    return [*module.split("."), ""][1]


class Imports(ast.NodeVisitor):
    """Imported modules, and parts used as `rbench.part`, with lines; those under `if TYPE_CHECKING` are left out."""

    def __init__(self, path):
        self.package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
        self.found = []
        self.visit(ast.parse(path.read_text()))

    def visit_If(self, node):
        typing_only = ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for child in node.orelse if typing_only else [node.test, *node.body, *node.orelse]:
            self.visit(child)

    def visit_Import(self, node):
        self.found += [(alias.name, node.lineno) for alias in node.names]

    def visit_Attribute(self, node):
        if ast.unparse(node.value) == "rbench":
            self.found.append((f"rbench.{node.attr}", node.lineno))
        self.generic_visit(node)

    def visit_ImportFrom(self, node):
        base = node.module or ""
        if node.level:
            base = importlib.util.resolve_name("." * node.level + base, self.package)
        # `from rbench import hookspecs` imports a part, not the package's own names.
        names = [f"rbench.{alias.name}" for alias in node.names] if base == "rbench" else [base]
        self.found += [(name, node.lineno) for name in names]


def wrong_imports(path):
    """The imports of a file that do not run downward."""
    own = part(module_name(path))
    for name, line in Imports(path).found:
        if name.split(".")[0] in PLUGGED_IN:
            yield f"{path}:{line}: {name} is a plugin; get it by name"
        if name.split(".")[0] != "rbench" or part(name).strip("_") in ("", "version", "file"):
            continue
        other = part(name)
        if other not in RANKS:
            yield f"{path}:{line}: {name} is not a part in RANKS; import a name from where it is defined"
        elif own and other != own and RANKS[other] >= RANKS[own]:
            yield f"{path}:{line}: {own} imports {other}, which does not stand below it"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_run_downward(path):
    assert part(module_name(path)) in {"", *RANKS}, "give the new part a rank"
    assert list(wrong_imports(path)) == []


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_framework_is_imported_anywhere(path):
    assert [entry for entry in Imports(path).found if entry[0].split(".")[0] in FRAMEWORKS] == []


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("metrics/x.py", "from rbench.solvers import dense", "metrics imports solvers"),
        ("metrics/x.py", "def f():\n    import rbench.api", "metrics imports api"),
        ("methods/x.py", "from rbench import tasks", "methods imports tasks"),
        ("tasks/x.py", "from ..run import cell", "tasks imports run"),
        ("modules/x.py", "from rbench import Linear", "not a part"),
        ("modules/x.py", "import rbench\nrbench.get_backend", "not a part"),
        ("run/x.py", "import rbench_numpy", "is a plugin"),
    ],
)
def test_a_wrong_import_is_found(name, text, words, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path / "rbench")
    path = tmp_path / "rbench" / name
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (message,) = wrong_imports(path)
    assert words in message


def test_importing_everything_imports_no_framework():
    modules = ["rbench.cli", *(module_name(path) for path in FILES if path.name != "__main__.py")]
    assert loaded(f"import {', '.join(modules)}") & FRAMEWORKS == set()


@pytest.mark.parametrize("module", ["rbench", "rbench.plugins", "rbench.cli"])
def test_the_command_line_starts_light(module):
    assert loaded(f"import {module}") & {"numpy", "pandas", "scipy", "sklearn", *FRAMEWORKS} == set()


def test_the_public_names_exist():
    code = "import rbench\nfor name in rbench.__all__:\n    getattr(rbench, name)\n    assert name in dir(rbench)"
    assert "numpy" in loaded(code)


def test_every_public_method_is_documented_here_or_where_it_is_declared():
    missing = []
    for info in pkgutil.walk_packages(rbench.__path__, "rbench."):
        module = importlib.import_module(info.name)
        for cls in vars(module).values():
            if not inspect.isclass(cls) or cls.__module__ != info.name or cls.__name__.startswith("_"):
                continue
            functions = [name for name, item in vars(cls).items() if inspect.isfunction(item) and name[0] != "_"]
            missing += [
                f"{info.name}.{cls.__name__}.{name}" for name in functions if not inspect.getdoc(getattr(cls, name))
            ]
    assert missing == []
