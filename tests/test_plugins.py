"""Plugins: one that fails is named and takes no other down; names are unique; every hook is documented and in use."""

import json
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest

import rbench.plugins
from helpers.command import run
from helpers.plugin_folder import install
from rbench import hookspecs
from rbench.backend import BackendPlugin
from rbench.errors import BackendError, PluginError, SpecError
from rbench.hookspecs import hookimpl
from rbench.losses import CrossEntropy
from rbench.metrics.output import GGN
from rbench.plugins import Plugins, backend_specs, get_backend, plugins
from rbench.run import Request
from rbench.spec import Configurable
from rbench.tasks import Task
from rbench.tasks.digits import Digits

THIRD_PARTY = """
from rbench.hookspecs import hookimpl

@hookimpl
def rbench_methods():
    from rbench.methods import SGD

    class Third(SGD):
        name = "third"
        summary = "of a third party"

    return [Third]
"""
BAD_NAMES = ["", "a b", "a[b]", "a,b", "a\n", "-a", "../a", "a=b", 5, None]


class Untellable(Exception):
    """An error whose message cannot be made."""

    def __str__(self):
        raise RuntimeError


HOOKS = [name for name in vars(hookspecs) if name.startswith("rbench_")]


@dataclass(frozen=True)
class Entry:
    """An entry point: `module` is what it loads, or the error that loading raises."""

    name: str
    module: ModuleType | BaseException
    distribution: str | None = None

    @property
    def dist(self):
        return self.distribution and SimpleNamespace(name=self.distribution)

    @property
    def value(self):
        return f"package.{self.name}"

    def load(self):
        if isinstance(self.module, BaseException):
            raise self.module
        return self.module


def module(items=None, hook="rbench_tasks", error=None):
    """A plugin module whose hook returns `items`, or raises."""

    def implementation():
        if error is not None:
            raise error
        return items

    implementation.__name__ = hook
    made = ModuleType("plugin")
    setattr(made, hook, hookimpl(implementation))
    return made


def named(*names):
    return [type("Named", (Digits,), {"name": name, "summary": ""}) for name in names]


@pytest.fixture
def discover(monkeypatch):
    def run(*entries):
        monkeypatch.setattr(rbench.plugins, "entry_points", lambda group: entries)
        found = Plugins()
        found.discover()
        return found

    return run


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (ImportError("no module named jax"), "ImportError: no module named jax"),
        (RuntimeError("driver too old"), "RuntimeError: driver too old"),
        (module(error=ValueError("broken hook")), "ValueError: broken hook"),
        (module([], hook="rbench_datasets"), "unknown hook 'rbench_datasets'"),
        (module(5), "TypeError"),
        (module([object()]), "name"),
        (SystemExit(3), "it raised SystemExit: 3"),
        (module(error=SystemExit("bye")), "it raised SystemExit: bye"),
        (ImportError("two\nlines \x1b[31m" + "x" * 1000), "ImportError: two lines  [31mxxx"),
        (Untellable(), "Untellable: its message cannot be made"),
        (ModuleType("empty"), "it has no hook"),
        (None, "it has no hook"),
        (module(named("a", "a")), "registers tasks name 'a' twice"),
        *((module(named(name)), "a name is letters, digits and . _ + -") for name in BAD_NAMES),
        (module([SimpleNamespace(name="a", summary="", load=1, loss=1, epochs=1)]), "give a subclass of Task"),
        (module([SimpleNamespace(name="a", summary="")]), "which has no load"),
        (module(named("a")[:1] * 2), "registers tasks name 'a' twice"),
        (module([type("T", (Task,), {"name": "t", "summary": "", "loss": "", "epochs": 1})]), "lacks load, network"),
        (module([type("T", (Digits,), {"name": "t", "summary": 5})]), "with the summary 5; give one line of text"),
    ],
    ids=lambda value: "",
)
def test_a_plugin_that_fails_is_named_and_alone(bad, words, discover):
    found = discover(Entry("first", module(named("a"))), Entry("bad", bad), Entry("last", module(named("b"))))
    assert list(found.registered("tasks")) == ["a", "b"]
    assert [(failure.name, words in failure.error) for failure in found.failures] == [("bad", True)], found.failures
    assert all(failure.error.isprintable() for failure in found.failures)
    with pytest.raises(PluginError, match="no task is called 'c'; there are: a, b; plugin 'bad' failed to load: "):
        found.find("tasks", "c")
    assert len(found.failures) == 1


@pytest.mark.parametrize(
    ("kind", "item", "words"),
    [
        ("losses", CrossEntropy, "the class CrossEntropy among the losses; give an object, CrossEntropy()"),
        ("output_metrics", GGN, "the class GGN among the output_metrics; give an object, GGN()"),
        ("losses", type("Own", (CrossEntropy,), {"name": 5})(), "with the name 5; a name is letters"),
        ("losses", SimpleNamespace(name="own", summary="", noise=None), "among the losses, which has no values_and"),
        ("output_metrics", SimpleNamespace(name="a", summary="", check=1, rank=1, factor=1), "which has no dense"),
    ],
    ids=lambda value: "",
)
def test_a_loss_or_metric_that_cannot_be_used_is_named_and_alone(kind, item, words, discover):
    found = discover(
        Entry("bad", module([item], f"rbench_{kind}")), Entry("good", module([GGN()], "rbench_output_metrics"))
    )
    assert list(found.registered("losses")) == []
    assert list(found.registered("output_metrics")) == ["ggn"]
    assert [(failure.name, words in failure.error) for failure in found.failures] == [("bad", True)], found.failures


def test_the_failure_of_loading_names_the_target(discover):
    (failure,) = discover(Entry("bad", ImportError("x"))).failures
    assert (failure.name, failure.target, failure.error) == ("bad", "package.bad", "ImportError: x")


@pytest.mark.parametrize("order", [1, -1], ids=["first", "last"])
def test_entries_of_one_name_in_two_distributions_both_load(order, discover):
    entries = [Entry("one", module(named("a")), "rbench"), Entry("one", module(named("b")), "another")]
    found = discover(*entries[::order])
    assert list(found.registered("tasks")) == ["a", "b"]
    assert found.failures == []


def test_an_entry_name_taken_twice_in_one_distribution_keeps_the_first_plugin(discover):
    entries = [Entry("one", module(named(name)), distribution) for name in "ab" for distribution in (None, "two")]
    found = discover(*entries[1::2])
    assert list(found.registered("tasks")) == ["a"]
    assert [failure.name for failure in found.failures] == ["two:one"]


def test_what_two_distributions_both_name_is_the_first_ones_and_rbench_is_first(discover):
    shared = module(named("a"))
    found = discover(Entry("other", shared, "another"), Entry("tasks", shared, "rbench"))
    assert list(found.registered("tasks")) == ["a"]
    assert [failure.name for failure in found.failures] == ["another:other"]


def test_a_name_that_two_distributions_register_is_an_error_that_names_both(discover):
    found = discover(Entry("x", module(named("a")), "rbench"), Entry("x", module(named("a")), "another"))
    with pytest.raises(PluginError, match="plugins 'rbench:x' and 'another:x' both register tasks name 'a'"):
        found.find("tasks", "a")


def test_ctrl_c_while_a_plugin_loads_is_ctrl_c(discover):
    with pytest.raises(KeyboardInterrupt):
        discover(Entry("slow", KeyboardInterrupt()))


@pytest.mark.parametrize("entry", ["numpy", "losses", "metrics", "methods", "tasks", "suites"])
def test_a_package_whose_entries_are_called_like_the_built_in_ones_takes_none_away(entry, tmp_path):
    source = "raise SystemExit('not today')" if entry == "suites" else THIRD_PARTY
    environment = install(tmp_path, "a_third_party", source, entry)
    done = run("list", "--json", env=environment)
    assert done.code == 0, done.err
    listed = json.loads(done.out)
    for kind in rbench.plugins.NEEDED:
        assert set(plugins().registered(kind)) <= {item["name"] for item in listed[kind]}
    assert ("third" in [item["name"] for item in listed["methods"]]) == (entry != "suites")
    failed = [f["name"] for f in listed.get("failed plugins", [])]
    assert failed == ([f"a_third_party:{entry}"] if entry == "suites" else [])


def test_two_plugins_that_register_one_name(discover):
    found = discover(Entry("one", module(named("a", "b"))), Entry("other", module(named("b"))))
    with pytest.raises(PluginError, match="both register tasks name 'b'") as caught:
        found.registered("tasks")
    assert "'one'" in str(caught.value)
    assert "'other'" in str(caught.value)
    assert found.registered("methods") == {}


def test_find(discover):
    items = named("b", "a")
    found = discover(Entry("one", module(items)))
    assert found.find("tasks", "b") is items[0]
    assert list(found.registered("tasks")) == ["a", "b"]
    with pytest.raises(PluginError, match="no suite is called 'a'"):
        found.find("suites", "a")


def test_the_built_in_plugins_load():
    assert plugins().failures == []
    assert plugins() is plugins()


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_documented_and_in_use(hook):
    assert getattr(hookspecs, hook).__doc__.strip()
    implementations = getattr(plugins().manager.hook, hook).get_hookimpls()
    assert implementations, f"no built-in plugin implements {hook}"
    for item in plugins().registered(hook.removeprefix("rbench_")).values():
        assert item.summary.strip(), f"{item.name} has no summary"


def test_every_kind_has_a_hook():
    assert sorted(HOOKS) == sorted(f"rbench_{kind}" for kind in rbench.plugins.NEEDED)


def test_get_backend():
    backend = get_backend("numpy", dtype="float64", device="cpu")
    assert (backend.name, backend.dtype, backend.device, backend.eager) == ("numpy", "float64", "cpu", True)
    assert get_backend("numpy").dtype == "float32"
    assert {"numpy", "scipy"} <= set(backend.describe())


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("abacus", {}, PluginError, "no backend is called 'abacus'; there are: .*numpy"),
        ("numpy", {"dtype": "float16"}, BackendError, "'numpy' has no dtype 'float16'; choose one of float32, float64"),
        ("numpy", {"device": "cuda"}, BackendError, "'numpy' has no device 'cuda'; choose one of cpu"),
    ],
)
def test_backends_that_do_not_exist(name, options, error, words):
    with pytest.raises(error, match=words):
        get_backend(name, **options)


def test_an_unavailable_backend_says_why_and_what_is_there(discover, monkeypatch):
    items = [
        BackendPlugin("ready", lambda dtype, device: (dtype, device), lambda: None, "runs"),
        BackendPlugin("absent", lambda dtype, device: None, lambda: "Install it.", "does not run"),
    ]
    found = discover(Entry("both", module(items, hook="rbench_backends")))
    monkeypatch.setattr(rbench.plugins, "plugins", lambda: found)
    assert get_backend("ready", dtype="float64") == ("float64", None)
    with pytest.raises(BackendError, match=r"'absent' is unavailable: Install it\.\navailable here: ready$"):
        get_backend("absent")


class Options(Configurable):
    name: ClassVar[str] = "abacus"
    summary: ClassVar[str] = "with options"
    beads: int = 10
    fast: bool = False


@pytest.fixture
def abacus(monkeypatch):
    """A backend with options, beside the built-in ones; it keeps what it was made with."""

    def create(dtype, device, *, beads, fast):
        return SimpleNamespace(name="abacus", dtype=dtype, beads=beads, fast=fast)

    plugin = BackendPlugin("abacus", create, lambda: None, "with options", options=Options)
    found = Plugins()
    found.discover()
    found.manager.register(module([plugin], hook="rbench_backends"), name="abacus")
    monkeypatch.setattr(rbench.plugins, "plugins", lambda: found)


@pytest.mark.parametrize(
    ("text", "spec", "options"),
    [
        ("abacus", "abacus", (10, False)),
        ("abacus[]", "abacus", (10, False)),
        ("abacus[beads=10,fast=false]", "abacus", (10, False)),
        (" abacus[fast=true, beads=7] ", "abacus[beads=7,fast=true]", (7, True)),
    ],
)
def test_a_backend_is_made_with_its_options_and_called_by_its_canonical_spec(abacus, text, spec, options):
    made = get_backend(text, dtype="float64")
    assert (made.name, made.dtype, (made.beads, made.fast)) == (spec, "float64", options)
    assert backend_specs([text, spec]) == [spec]


def test_lists_of_values_name_several_backends(abacus):
    asked = ["numpy", "abacus[fast=[true,false]]", "abacus"]
    assert backend_specs(asked) == ["numpy", "abacus[fast=true]", "abacus"]
    with pytest.raises(SpecError, match=r"names 2 backends, abacus\[beads=1\], abacus\[beads=2\]; choose one"):
        get_backend("abacus[beads=[1,2]]")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("abacus[bead=1]", r"abacus has no setting 'bead' \(did you mean 'beads'\?\); its settings are: beads, fast"),
        ("abacus[beads=many]", "abacus: beads='many': .*integer"),
        ("abacus[beads=1", "cannot read 'abacus\\[beads=1'; write name"),
        ("numpy[fast=true]", "backend 'numpy' has no options, so none called fast; write numpy"),
    ],
)
def test_options_that_do_not_exist(abacus, text, words):
    for ask in (get_backend, lambda text: backend_specs([text]), lambda text: Request(backends=(text,)).cells()):
        with pytest.raises(SpecError, match=words):
            ask(text)


def test_runs_keep_backends_of_other_options_apart(abacus):
    asked = ("abacus[fast=true]", "abacus[fast=false]")
    cells = Request(backends=asked, tasks=("digits",), methods=("sgd",)).cells()
    assert [cell.backend for cell in cells] == ["abacus[fast=true]", "abacus"]
    assert len({cell.key for cell in cells}) == 2
    steps = Request(suites=("memory",), backends=asked, tasks=("4-3",), methods=("sgd",), batch_size=2).cells()
    assert [step.backend for step in steps] == ["abacus[fast=true]", "abacus"]
