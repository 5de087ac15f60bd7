"""The one plugin manager: finds plugins by entry point, and looks names up in what they registered."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from itertools import product
from typing import TYPE_CHECKING, Any, cast

import pluggy

from rbench import hookspecs
from rbench.errors import BackendError, PluginError, RbenchError, SpecError
from rbench.names import unknown
from rbench.spec import parse

if TYPE_CHECKING:
    from rbench.backend import Backend, BackendPlugin


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded: its entry-point name and target, and the error in words."""

    name: str
    target: str
    error: str


class Plugins:
    """Plugins that loaded, and those that did not.

    Attributes:
        manager: pluggy's manager, for registering a plugin by hand.
        failures: what could not be loaded; it never takes the others down.
    """

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(hookspecs.GROUP)
        self.manager.add_hookspecs(hookspecs)
        self.failures: list[Failure] = []

    def discover(self) -> None:
        """Load every entry point of the group `rbench`, noting the ones that fail."""
        for entry in entry_points(group=hookspecs.GROUP):
            plugin = None
            try:
                plugin = entry.load()
                self.manager.register(plugin, name=entry.name)
                self.manager.check_pending()
            except Exception as error:
                if plugin is not None and self.manager.get_plugin(entry.name) is plugin:
                    self.manager.unregister(name=entry.name)
                self.failures.append(Failure(entry.name, entry.value, f"{type(error).__name__}: {error}"))

    def registered(self, kind: str) -> dict[str, Any]:
        """All that was registered as `kind`: `backends`, `methods`, `tasks` or `suites`, by name, in order of name.

        Raises:
            PluginError: two plugins register one name; the message names both.
        """
        found: dict[str, Any] = {}
        owner: dict[str, str] = {}
        for implementation in getattr(self.manager.hook, f"rbench_{kind}").get_hookimpls():
            for item in self._items(implementation):
                name = item.name
                if name in found:
                    raise PluginError(
                        f"plugins {owner[name]!r} and {implementation.plugin_name!r} both register "
                        f"{kind} name {name!r}; uninstall one of them or rename its entry"
                    )
                found[name], owner[name] = item, implementation.plugin_name
        return dict(sorted(found.items()))

    def _items(self, implementation: pluggy.HookImpl) -> list[Any]:
        try:
            items = list(cast(Iterable[Any], implementation.function()))
            for item, attribute in product(items, ("name", "summary")):
                if not hasattr(item, attribute):
                    raise PluginError(f"it registers {item!r}, which has no {attribute}")
            return items
        except Exception as error:
            failure = Failure(
                implementation.plugin_name, implementation.function.__name__, f"{type(error).__name__}: {error}"
            )
            if failure not in self.failures:
                self.failures.append(failure)
            return []

    def find(self, kind: str, name: str) -> Any:
        """The one thing of `kind` called `name`.

        Raises:
            PluginError: there is none; the message lists what there is, and the plugins that failed to load.
        """
        items = self.registered(kind)
        if name not in items:
            failed = "".join(f"; plugin {f.name!r} failed to load: {f.error}" for f in self.failures)
            raise PluginError(unknown(kind[:-1], name, items) + failed)
        return items[name]


@cache
def plugins() -> Plugins:
    """The process's plugins, discovered at the first call."""
    found = Plugins()
    found.discover()
    return found


def backend_specs(texts: Iterable[str]) -> list[str]:
    """The canonical SPECs of the backends that some SPECs name, each once; several of one that lists values.

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
        raise BackendError(f"backend {name!r} has no dtype {dtype!r}; choose one of {', '.join(plugin.dtypes)}")
    kind, colon, index = (plugin.devices[0] if device is None else device).partition(":")
    if kind not in plugin.devices or (colon and (kind == "cpu" or not index.isdigit())):
        raise BackendError(f"backend {name!r} has no device {device!r}; choose one of {', '.join(plugin.devices)}")
    if not here:
        return plugin
    for what, reason in (
        (f"backend {name!r}", unavailable(plugin)),
        (f"device {device!r} of backend {name!r}", unavailable(plugin, kind)),
    ):
        if reason is not None:
            raise BackendError(f"{what} is unavailable: {reason}\navailable here: {', '.join(available())}")
    return plugin


def unavailable(plugin: "BackendPlugin", device: str | None = None) -> str | None:
    """Why a backend, or one of its devices, cannot be used here; None where it can. A plugin that fails says so."""
    try:
        return plugin.unavailable() if device is None else plugin.device_unavailable(device)
    except Exception as error:
        return f"its plugin failed with {type(error).__name__}: {error}"


def get_backend(name: str, *, dtype: str = "float32", device: str | None = None) -> "Backend":
    """The backend called `name` at one dtype on one device.

    Settings that a library keeps for the whole process stay as they are, but for these: `jax` at float64 switches on
    `jax_enable_x64`, without which JAX truncates whatever is computed with float64; `cupy` makes its device the current
    one; `torch[compile=true]` sets TORCHINDUCTOR_CACHE_DIR where it is not set. What else a backend needs, such as
    float32 products without TensorFloat-32, holds within `Backend.inference()`, where the public functions compute.

    Args:
        name: registered name, such as `numpy`, or a SPEC with options, such as `torch[compile=true]`; `rbench list
            backends` shows them.
        dtype: `float32` or `float64`.
        device: `cpu`, `cuda`, or `cuda:1` for the second; the backend's default if None.

    Raises:
        PluginError, SpecError, BackendError: as for `find_backend`; or there is no device of that number, or the SPEC
            lists several values.
    """
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


def available() -> list[str]:
    """The backends that can run here, by name, each with the devices that it can use where there is a choice."""
    found = []
    for name, plugin in plugins().registered("backends").items():
        if unavailable(plugin) is None:
            devices = [device for device in plugin.devices if unavailable(plugin, device) is None]
            found.append(name if len(plugin.devices) == 1 else f"{name} ({', '.join(devices)})")
    return found
