"""What is registered, for `rbench list`."""

from collections.abc import Callable
from typing import Any

from rbench.losses import Loss
from rbench.metrics import OutputMetric
from rbench.plugins import plugins, unavailable, version_of
from rbench.run import Suite
from rbench.spec import Configurable
from rbench.text import json_text, visible


def catalogue(kinds: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Everything registered of the given kinds, and the plugins that failed to load, as plain data."""
    describe_one: dict[str, Callable[[Any], dict[str, Any]]] = {
        "backends": _backend,
        "methods": _configurable,
        "output_metrics": _summarised,
        "losses": _summarised,
        "tasks": _configurable,
        "experiments": _summarised,
        "suites": _suite,
    }
    found = {kind: [describe_one[kind](item) for item in plugins().registered(kind).values()] for kind in kinds}
    failures = [{"name": f.name, "target": f.target, "error": f.error} for f in plugins().failures]
    return {**found, **({"failed plugins": failures} if failures else {})}


def describe(found: dict[str, list[dict[str, Any]]], *, as_json: bool) -> str:
    """The catalogue as JSON or as text."""
    if as_json:
        return json_text(found)
    lines = []
    for kind, items in found.items():
        lines.append(f"{kind}:")
        width = max((len(item["name"]) for item in items), default=0)
        for item in items:
            rest = {key: value for key, value in item.items() if key not in ("name", "summary", "settings") and value}
            more = "; ".join(f"{key}: {_words(value)}" for key, value in rest.items())
            lines.append(
                f"  {item['name']:{width}}  {'  '.join(part for part in (item.get('summary', ''), more) if part)}"
            )
            if item.get("settings"):
                lines.append(
                    f"  {'':{width}}    " + ", ".join(f"{key}={value}" for key, value in item["settings"].items())
                )
    return "\n".join(visible(line) for line in lines)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} ({why})" for key, why in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


def _backend(plugin: Any) -> dict[str, Any]:
    reason = unavailable(plugin)
    return {
        "name": plugin.name,
        "summary": plugin.summary,
        "version": version_of(plugin),
        "devices": list(plugin.devices),
        "dtypes": list(plugin.dtypes),
        "status": reason or "available",
        "settings": _settings(plugin.options) if plugin.options else {},
        "without": {} if reason else {name: why for name in plugin.devices if (why := unavailable(plugin, name))},
    }


def _configurable(cls: type[Configurable]) -> dict[str, Any]:
    return {"name": cls.name, "summary": cls.summary, "settings": _settings(cls)}


def _summarised(item: OutputMetric | Loss) -> dict[str, Any]:
    return {"name": item.name, "summary": item.summary}


def _settings(cls: type[Configurable]) -> dict[str, str]:
    """The settings with their defaults."""
    fields = cls.model_fields
    defaults = {fields[key].alias or key: fields[key].get_default(call_default_factory=True) for key in fields}
    return {key: _word(value) for key, value in defaults.items()}


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return str(list(value)).replace(" ", "")
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _suite(suite: Suite) -> dict[str, Any]:
    return {"name": suite.name, "summary": suite.summary, **suite.contents()}
