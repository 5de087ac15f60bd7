"""The texts of a bundle: the page that explains it, and the versions of the libraries that its run used."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rbench.run.record import Record
from rbench.run.run_file import RunFile
from rbench.text import markdown, visible

_FILES = """
| file | what it is |
|:--|:--|
| `cells/*.json` | the records: one per cell, with settings, figures, evaluations, software and hardware |
| `run.json` | what was asked for, and the cells that it makes |
| `environment.json` | software and hardware of the request and of the records |
| `requirements.txt` | versions of the libraries, to install them again with pip |
| `plugins/*.py` | plugins of the run that are files, if any; rbench runs none that is not named by `--plugin` |
| `SHA256SUMS` | sums of all other files: `sha256sum -c SHA256SUMS` checks them |

The commands, given the bundle's `.zip`:

```
rbench table FILE.zip              # the table of its records
rbench reproduce FILE.zip          # runs the same cells here, and says which figures are within noise
```

Unpacked, this folder is the directory of a run, which all commands of rbench read.
"""


def page(plan: RunFile, records: Sequence[Record], missing: int) -> str:
    """The README of a bundle, in Markdown."""
    ends = Counter(record.status for record in records)
    counted = ", ".join(f"{ends[status]} {status}" for status in sorted(ends))
    parts = plan.request.get("suites")
    suites = ", ".join(map(str, parts)) if isinstance(parts, list) else ""
    lines = [
        "# A run of rbench",
        "",
        f"Records: {len(records)} ({counted})." + (f" Suites: {markdown(suites)}." if suites else ""),
        f"Planned cells without a record: {missing}." if missing else "Every planned cell has a record.",
        "",
        *(f"- {markdown(words)}" for words in dict.fromkeys(_machine(one) for one in _provenances(plan, records))),
    ]
    return "\n".join(lines) + "\n" + _FILES


def requirements(plan: RunFile, records: Sequence[Record]) -> str:
    """Versions as pip reads them: of the libraries of the run and of all that these require, as far as it noted them.

    A version that rbench got from its checkout is in no registry, so it is a comment, with the commit. Where the
    records have several versions of a library, the first is required and the others are comments.
    """
    versions: dict[str, dict[str, None]] = {}
    sources: dict[str, None] = {}
    for one in _provenances(plan, records):
        sources[_source(one)] = None
        for part in ("libraries", "backend", "installed"):
            for name, version in dict(one.get(part) or {}).items():
                versions.setdefault(_line(name).lower(), {})[_line(version)] = None
    lines = ["# Versions that a run of rbench used; rbench itself:", *(f"# {source}" for source in sources)]
    for name, found in sorted(versions.items()):
        first, *others = found
        lines += [f"{name}=={first}", *(f"# {name}=={other}, of other records" for other in others)]
    return "\n".join(lines) + "\n"


def _provenances(plan: RunFile, records: Iterable[Record]) -> list[dict[str, Any]]:
    """Those of the records, in order, and that of the request."""
    return [*(record.provenance for record in records if record.provenance), plan.provenance]


def _machine(provenance: dict[str, Any]) -> str:
    known = [provenance.get("cpu"), provenance.get("device"), provenance.get("system"), provenance.get("python")]
    cpu, device, system, python = (str(one) if one else None for one in known)
    parts = [cpu, None if device == "cpu" else device, system, python and f"Python {python}", _source(provenance)]
    return ", ".join(part for part in parts if part)


def _source(provenance: dict[str, Any]) -> str:
    version, commit = provenance.get("rbench") or "of unknown version", provenance.get("commit")
    if not isinstance(commit, dict):
        return _line(f"rbench=={version}")
    return _line(f"rbench {version}, commit {commit.get('id')}{' with changes' if commit.get('dirty') else ''}")


def _line(text: Any) -> str:
    return visible(str(text)).strip()
