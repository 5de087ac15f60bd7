"""The one plugin manager: finds plugins by entry point or as files, and looks names up in what they registered."""

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from inspect import isabstract
from typing import TYPE_CHECKING, Any, cast

import pluggy

from rbench import hookspecs, plugin_files
from rbench.errors import BackendError, PluginError, RbenchError, SpecError
from rbench.names import LONGEST, did_you_mean, shown, unknown
from rbench.plugin_files import PluginFile
from rbench.probe import installed_version
from rbench.spec import Configurable, parse

if TYPE_CHECKING:
    from rbench.backend import Backend, BackendPlugin

NEEDED = {
    "backends": ("create", "unavailable", "devices", "dtypes"),
    "losses": ("values_and_cotangents", "hessian_factor", "noise", "sampled_factor", "predictions", "dense"),
    "output_metrics": ("check", "rank", "factor", "dense"),
    "methods": ("step",),
    "tasks": ("load", "loss", "epochs"),
    "experiments": ("fields", "run"),
    "suites": ("threads", "count", "cells"),
}
"""What an entry of each kind has, besides a name and a summary; methods and tasks are classes."""

ONE_OF = {"losses": "loss", "output_metrics": "output metric"}
"""What an entry of a kind is called, if that is not the kind without its s."""


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded: what it is called and its target, and the error in words."""

    name: str
    target: str
    error: str


class Plugins:
    """Plugins that loaded, and those that did not.

    One of an entry point is called by its distribution and the entry point's name, one that is a file by its path.

    Attributes:
        manager: pluggy's manager, for registering a plugin by hand.
        failures: plugins of entry points that could not be loaded; the others work nonetheless.
        files: plugins that are files, by path.
    """

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(hookspecs.GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.failures: list[Failure] = []
        self.files: dict[str, PluginFile] = {}
        self._found: dict[str, tuple[list[pluggy.HookImpl], dict[str, Any], dict[str, str]]] = {}

    def discover(self, files: str = "") -> None:
        """Load every entry point of the group `rbench`, rbench's own first, and note the ones that fail; then files.

        Args:
            files: their paths, as in `RBENCH_PLUGINS`.

        Raises:
            PluginError: a file cannot be used; the message says where.
        """
        named = [(_called(entry), entry) for entry in entry_points(group=hookspecs.GROUP)]
        for name, entry in sorted(named, key=lambda one: (not one[0].startswith("rbench:"), one[0])):
            self._load(name, entry.value, entry.load)
        for file in plugin_files.read(files):
            self.files[str(file.path)] = file
            self._load(str(file.path), file.name, file.load)

    def _load(self, name: str, target: str, load: Callable[[], Any]) -> None:
        plugin = None
        try:
            with _only_exceptions():
                plugin = load()
                self.manager.register(plugin, name=name)
                self.manager.check_pending()
                if not self.manager.get_hookcallers(plugin):
                    raise PluginError(
                        "it has no hook, such as a function rbench_methods with @hookimpl above; see rbench.hookspecs"
                    )
        except Exception as error:
            if plugin is not None and self.manager.get_plugin(name) is plugin:
                self.manager.unregister(name=name)
            self._fail(name, target, error)

    def _fail(self, name: str, target: str, error: Exception) -> None:
        """Note why a plugin failed; raise it for a file, which was asked for."""
        if (file := self.files.get(name)) is not None:
            words = str(error) if isinstance(error, PluginError) else _words(error)
            raise PluginError(f"plugin {file.place(error)}: {words}") from error
        failure = Failure(name, target, _words(error))
        if failure not in self.failures:
            self.failures.append(failure)

    def registered(self, kind: str) -> dict[str, Any]:
        """All entries registered as `kind`, one of `NEEDED`, by name, in order of name.

        Raises:
            PluginError: two plugins register one name, and the message names both; or a file's entries cannot be used.
        """
        return self._with_owners(kind)[0]

    def file(self, kind: str, name: str) -> PluginFile | None:
        """The file that registers the entry of `kind` called `name`; None where no file does."""
        return self.files.get(self._with_owners(kind)[1].get(name, ""))

    def _with_owners(self, kind: str) -> tuple[dict[str, Any], dict[str, str]]:
        """All entries of a kind, and the plugins that register them, by name."""
        implementations = getattr(self.manager.hook, f"rbench_{kind}").get_hookimpls()
        asked, found, owner = self._found.get(kind, ([], {}, {}))
        if asked != implementations:
            found, owner = self._asked(kind, implementations)
            self._found[kind] = implementations, found, owner
        return found, owner

    def _asked(self, kind: str, implementations: list[pluggy.HookImpl]) -> tuple[dict[str, Any], dict[str, str]]:
        found: dict[str, Any] = {}
        owner: dict[str, str] = {}
        for implementation in implementations:
            for item in self._items(kind, implementation):
                name = item.name
                if name in found:
                    raise PluginError(
                        f"plugins {owner[name]!r} and {implementation.plugin_name!r} both register "
                        f"{kind} name {name!r}; leave one of them out or rename its entry"
                    )
                found[name] = item
                owner[name] = implementation.plugin_name
        return dict(sorted(found.items())), owner

    def _items(self, kind: str, implementation: pluggy.HookImpl) -> list[Any]:
        try:
            with _only_exceptions():
                items = list(cast(Iterable[Any], implementation.function()))
                for item in items:
                    _check_item(kind, item)
                names = [item.name for item in items]
                if twice := [name for name in names if names.count(name) > 1]:
                    raise PluginError(f"it registers {kind} name {twice[0]!r} twice")
            return items
        except Exception as error:
            self._fail(implementation.plugin_name, f"rbench_{kind}", error)
            return []

    def find(self, kind: str, name: Any, error: type[RbenchError] = PluginError) -> Any:
        """The entry of `kind`, one of `NEEDED`, called `name`.

        Raises:
            PluginError: there is none, unless `error` is another class; the message lists what there is, and the
                plugins that failed to load.
        """
        items = self.registered(kind)
        if not isinstance(name, str) or name not in items:
            failed = "".join(f"; plugin {f.name!r} failed to load: {f.error}" for f in self.failures)
            raise error(unknown(one_of(kind), name, items) + failed)
        return items[name]


def one_of(kind: str) -> str:
    """What an entry of a kind is called: `loss` for `losses`."""
    return ONE_OF.get(kind, kind[:-1])


def _called(entry: EntryPoint) -> str:
    """Distribution and name of an entry point: another distribution may use the same name."""
    distribution = getattr(entry, "dist", None)
    return entry.name if distribution is None else f"{distribution.name}:{entry.name}"


@contextmanager
def _only_exceptions() -> Iterator[None]:
    """Turn anything else that a plugin raises, such as `SystemExit`, into a `PluginError`; Ctrl-C stays."""
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise PluginError(f"it raised {_words(error)}") from error


def _words(error: BaseException) -> str:
    """An error in one line that can be printed, whatever its text."""
    try:
        text = str(error)
    except Exception:
        text = "its message cannot be made"
    line = "".join(character if character.isprintable() else " " for character in text)
    return f"{type(error).__name__}: {line if len(line) <= 2 * LONGEST else line[: 2 * LONGEST] + '…'}"


def _check_item(kind: str, item: Any) -> None:
    """Raise a `PluginError` for an entry that cannot be used."""
    if missing := [name for name in ("name", "summary", *NEEDED[kind]) if not hasattr(item, name)]:
        raise PluginError(f"it registers {shown(item)} among the {kind}, which has no {missing[0]}")
    if not isinstance(item.name, str) or not re.fullmatch(r"[^\W_][\w.+-]*", item.name):
        raise PluginError(
            f"it registers {shown(item)} with the name {shown(item.name)}; a name is letters, digits and . _ + -, "
            "and begins with a letter or a digit"
        )
    if not isinstance(item.summary, str):
        raise PluginError(f"it registers {item.name!r} with the summary {shown(item.summary)}; give one line of text")
    if kind in ("methods", "tasks") and not (isinstance(item, type) and issubclass(item, Configurable)):
        raise PluginError(f"it registers {shown(item)} among the {kind}; give a subclass of {kind[:-1].title()}")
    if kind in ("losses", "output_metrics") and isinstance(item, type):
        raise PluginError(f"it registers the class {item.__name__} among the {kind}; give an object, {item.__name__}()")
    if isabstract(item):
        lacking = ", ".join(sorted(item.__abstractmethods__))
        raise PluginError(f"it registers {item.name!r} among the {kind}, which lacks {lacking}")


def plugins() -> Plugins:
    """The process's plugins: those of entry points, and the files that `RBENCH_PLUGINS` names.

    They are discovered at the first call, and where that variable has another value than before.

    Raises:
        PluginError: a file cannot be used.
    """
    return _discovered(os.environ.get(plugin_files.VARIABLE, ""))


@cache
def _discovered(files: str) -> Plugins:
    found = Plugins()
    found.discover(files)
    return found


def backend_specs(texts: Iterable[str]) -> list[str]:
    """The canonical SPECs of the backends that SPECs name, each once; one that lists values gives several.

    Raises:
        PluginError: no backend has that name.
        SpecError: a SPEC cannot be read, or sets an option that the backend does not have.
    """
    return list(dict.fromkeys(spec for text in texts for spec in _named(text)[1]))


def _named(text: str) -> "tuple[BackendPlugin, dict[str, dict[str, Any]]]":
    """The plugin that a SPEC names, and the options of each of its backends by canonical SPEC."""
    name, settings = parse(text)
    plugin: BackendPlugin = plugins().find("backends", name)
    if plugin.options is not None:
        return plugin, {made.spec: made.model_dump() for made in plugin.options.expand(settings)}
    if settings:
        raise SpecError(f"backend {name!r} has no options, so none called {', '.join(settings)}; write {name}")
    return plugin, {name: {}}


def find_backend(name: str, dtype: str = "float32", device: str | None = None, *, here: bool = True) -> "BackendPlugin":
    """The plugin of a backend that can be made here; its library is not imported.

    Args:
        name: registered name, or a SPEC with options.
        dtype: name of the floating dtype.
        device: the backend's name of a device; its default if None.
        here: whether it is to run on this machine; otherwise only names are checked.

    Raises:
        PluginError, SpecError: as for `backend_specs`.
        BackendError: it cannot run here, or lacks the dtype or device; the message says what to install and which
            backends are available.
    """
    plugin, _ = _named(name)
    if dtype not in plugin.dtypes:
        raise _lacking(name, "dtype", dtype, plugin.dtypes)
    kind, colon, index = (plugin.devices[0] if device is None else device).partition(":")
    if kind not in plugin.devices or (colon and (kind == "cpu" or not index.isdigit())):
        raise _lacking(name, "device", device, plugin.devices)
    if not here:
        return plugin
    for what, reason in (
        (f"backend {name!r}", unavailable(plugin)),
        (f"device {device!r} of backend {name!r}", unavailable(plugin, kind)),
    ):
        if reason is not None:
            raise BackendError(f"{what} is unavailable: {reason}\navailable here: {', '.join(available())}")
    return plugin


def _lacking(name: str, what: str, came: object, known: tuple[str, ...]) -> BackendError:
    choices = ", ".join(known) + did_you_mean(came, known)
    return BackendError(f"backend {name!r} has no {what} {shown(came)}; choose one of {choices}")


def unavailable(plugin: "BackendPlugin", device: str | None = None) -> str | None:
    """Why a backend, or one of its devices, cannot be used here, such as its plugin's error; None where it can."""
    try:
        with _only_exceptions():
            return plugin.unavailable() if device is None else plugin.device_unavailable(device)
    except Exception as error:
        return f"its plugin failed with {_words(error)}"


def version_of(plugin: "BackendPlugin") -> str | None:
    """The version of a backend's library; None where it is not installed, or the plugin fails to tell."""
    with suppress(Exception), _only_exceptions():
        return plugin.version() if plugin.version else installed_version(*plugin.libraries)
    return None


def get_backend(name: str, *, dtype: Any = "float32", device: Any = None) -> "Backend":
    """The backend called `name` at one dtype on one device.

    Settings that a library keeps for the whole process stay as they are, except these: `jax` at float64 switches on
    `jax_enable_x64`, without which JAX truncates whatever is computed with float64; `cupy` makes its device the current
    one; `torch[compile=true]` sets TORCHINDUCTOR_CACHE_DIR where it is not set. What else a backend needs, such as
    float32 products without TensorFloat-32, holds within `Backend.inference()`, where the public functions compute.

    Args:
        name: registered name, such as `numpy`, or a SPEC with options, such as `torch[compile=true]`; `rbench list
            backends` shows them.
        dtype: `float32` or `float64`, by name or as a library's own, such as `numpy.float32`.
        device: `cpu`, `cuda`, or `cuda:1` for the second; the backend's default if None.

    Raises:
        PluginError, SpecError, BackendError: as for `find_backend`; or there is no device of that number, or the SPEC
            lists several values.
    """
    if not isinstance(name, str):
        raise BackendError(f"backend is {shown(name)}; give its name, such as 'numpy'")
    dtype = _dtype_name(dtype)
    device = None if device is None else str(device)
    plugin = find_backend(name, dtype, device)
    _, chosen = _named(name)
    if len(chosen) > 1:
        raise SpecError(f"{name!r} names {len(chosen)} backends, {', '.join(chosen)}; choose one")
    ((spec, options),) = chosen.items()
    try:
        backend = plugin.create(dtype, device, **options)
    except RbenchError:
        raise
    except Exception as error:  # a broken installation, say
        raise BackendError(f"backend {name!r} cannot be made: {type(error).__name__}: {error}") from error
    if options:
        backend.name = spec
    return backend


def as_backend(backend: "Backend | str", dtype: Any = "float32") -> "Backend":
    """The backend itself; a name or SPEC stands for that backend in a dtype on its default device.

    Raises:
        PluginError, SpecError, BackendError: as for `get_backend`; or it is neither.
    """
    if isinstance(backend, str):
        return get_backend(backend, dtype=dtype)
    if isinstance(backend, type) or not hasattr(backend, "float_dtype"):
        raise BackendError(
            f"backend is {shown(backend)}; give a name such as 'numpy', or what rbench.get_backend returns"
        )
    return backend


def _dtype_name(dtype: Any) -> str:
    """The name of a dtype: given as a word, a class such as `numpy.float32`, or an object such as `torch.float32`."""
    named = getattr(dtype, "__name__", None) or getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
    return str(named)


def available() -> list[str]:
    """The backends that can run here, by name, each with the devices that it can use where there is a choice."""
    found = []
    for name, plugin in plugins().registered("backends").items():
        if unavailable(plugin) is None:
            devices = [device for device in plugin.devices if unavailable(plugin, device) is None]
            found.append(name if len(plugin.devices) == 1 else f"{name} ({', '.join(devices)})")
    return found
