"""What is registered, for `rbench list`."""

from typing import Any

from rbench.plugins import plugins, unavailable, version_of
from rbench.spec import Configurable
from rbench.text import visible


def catalogue(kinds: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Everything registered of the given kinds, and the plugins that failed to load, as plain data."""
    found = {kind: [_entry(kind, item) for item in plugins().registered(kind).values()] for kind in kinds}
    failures = [{"name": f.name, "target": f.target, "error": f.error} for f in plugins().failures]
    return {**found, **({"failed plugins": failures} if failures else {})}


def describe(found: dict[str, list[dict[str, Any]]]) -> str:
    """The catalogue as text."""
    lines = []
    for kind, items in found.items():
        lines.append(f"{kind}:")
        width = max((len(item["name"]) for item in items), default=0)
        for item in items:
            rest = {key: value for key, value in item.items() if key not in ("name", "summary", "settings") and value}
            more = "; ".join(f"{key}: {_words(value)}" for key, value in rest.items())
            lines.append(f"  {item['name']:{width}}  {'  '.join(filter(None, (item.get('summary'), more)))}")
            if settings := item.get("settings"):
                words = ", ".join(f"{key}={value}" for key, value in settings.items())
                lines.append(f"  {'':{width}}    {words}")
    return "\n".join(visible(line) for line in lines)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} ({why})" for key, why in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


def _entry(kind: str, item: Any) -> dict[str, Any]:
    """One registered class or object."""
    entry: dict[str, Any] = {"name": item.name, "summary": item.summary}
    if kind == "backends":
        entry |= _backend(item)
    elif kind == "suites":
        entry |= item.contents()
    elif kind in ("methods", "tasks"):
        entry["settings"] = _settings(item)
    if kind == "methods":
        entry |= {"backends": list(item.backends), "unavailable": item.unavailable()}
    if (file := plugins().file(kind, item.name)) is not None:
        entry["file"] = str(file.path)
    return entry


def _backend(plugin: Any) -> dict[str, Any]:
    reason = unavailable(plugin)
    return {
        "version": version_of(plugin),
        "devices": list(plugin.devices),
        "dtypes": list(plugin.dtypes),
        "status": reason or "available",
        "settings": _settings(plugin.options) if plugin.options else {},
        "without": {} if reason else {name: why for name in plugin.devices if (why := unavailable(plugin, name))},
    }


def _settings(cls: type[Configurable]) -> dict[str, str]:
    """The settings with their defaults."""
    fields = cls.model_fields
    defaults = {fields[key].alias or key: fields[key].get_default(call_default_factory=True) for key in fields}
    return {key: _word(value) for key, value in defaults.items()}


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{','.join(map(_word, value))}]"
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)
