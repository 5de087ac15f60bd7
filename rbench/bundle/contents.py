"""What a bundle holds: records and request as they are, environments, versions, and a page that explains them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rbench.bundle.archive import packed, unpacked
from rbench.bundle.page import page, requirements
from rbench.errors import DataError, RbenchError
from rbench.run.reading import DamagedError, NewerError, parsed, read_bytes
from rbench.run.record import Record, find, parse_record, record_files
from rbench.run.run_file import NAME, RunFile, read_run_file
from rbench.text import json_text


class Bundle(NamedTuple):
    """A run as a bundle holds it.

    Attributes:
        plan: its `run.json`.
        records: its records: in the order of the plan, then those of earlier requests.
    """

    plan: RunFile
    records: list[Record]

    @property
    def missing(self) -> int:
        """How many of the planned cells have no record."""
        own, before = self.plan.missing({record.cell.key for record in self.records})
        return len(own) + len(before)


def bundle(directory: Path, file: Path, *, force: bool = False) -> Bundle:
    """Write the bundle of a run; the same run gives the same bytes.

    Args:
        directory: of the run.
        file: the bundle, a `.zip`.
        force: replace a file that is there.

    Raises:
        DataError: the directory holds no run, or a record that is damaged or of a newer version.
        RbenchError: the file is there, has another ending or cannot be written.
    """
    if file.suffix != ".zip":
        raise RbenchError(f"{file}: the name of a bundle ends with .zip")
    if file.exists() and not force:
        raise RbenchError(f"{file} is there; name another file, or replace it with `force`")
    found = read_run(directory)
    content = {NAME: read_bytes(directory / NAME)}
    content |= {f"cells/{path.name}": read_bytes(path) for path in record_files(directory)}
    environments = _environments(found)
    content["environment.json"] = (json_text(environments) + "\n").encode()
    content["requirements.txt"] = requirements(found.plan, found.records).encode()
    content |= {f"plugins/{name}": text.encode() for name, text in found.plan.all_plugin_files().items()}
    content["README.md"] = page(found.plan, found.records, found.missing).encode()
    partial = file.with_name(f".{file.name}.part")
    try:
        partial.write_bytes(packed(content))
        partial.replace(file)
    except OSError as error:
        raise RbenchError(f"cannot write {file}: {error.strerror}; name another file") from None
    finally:
        partial.unlink(missing_ok=True)
    return found


def read_bundle(path: Path) -> Bundle:
    """The run of a bundle, once all members match their sums.

    Raises:
        DataError: it is no bundle, or a member is missing, was changed or is not rbench's; the message names it.
        NewerError: a newer version wrote it.
    """
    return _read_members(unpacked(path), path)


def read_files(source: Path) -> tuple[Bundle, dict[str, bytes]]:
    """The run of a directory or a bundle, and the files of its records as they are, by name.

    Raises:
        DataError: as `read_run` and `read_bundle`.
    """
    if not source.is_file():
        return read_run(source), {path.name: read_bytes(path) for path in record_files(source)}
    content = unpacked(source)
    return _read_members(content, source), {Path(name).name: content[name] for name in _cells(content)}


def _read_members(content: Mapping[str, bytes], path: Path) -> Bundle:
    if NAME not in content:
        raise DataError(f"{path} holds no {NAME}; give a file of `rbench bundle`")
    plan = parsed(content[NAME], RunFile, path / NAME)
    return Bundle(plan, in_order(plan.cells, [parse_record(content[name], path / name) for name in _cells(content)]))


def _cells(content: Iterable[str]) -> list[str]:
    return sorted(name for name in content if name.startswith("cells/"))


def read_run(directory: Path) -> Bundle:
    """The run of a directory, all of whose records must be whole.

    Raises:
        DataError: it holds no run, or none of its cells has a record, or one is damaged or of a newer version.
    """
    try:
        plan = read_run_file(directory)
    except FileNotFoundError:
        raise DataError(f"{directory} holds no run: there is no {NAME}; give the DIR of `rbench run -o DIR`") from None
    except (DamagedError, NewerError) as error:
        raise type(error)(f"{directory} holds no run: {error}") from None
    records, damaged, newer = find(directory)
    if damaged:
        raise DataError(f"{damaged[0]} is damaged (files like this: {len(damaged)}); run {directory} again first")
    if newer:
        raise NewerError(next(iter(newer.values())))
    if not records:
        raise DataError(f"{directory} holds no records yet; run it first")
    return Bundle(plan, in_order(plan.cells, records))


def in_order(planned: Sequence[str], records: Sequence[Record]) -> list[Record]:
    """Records in the order of their cells' planned keys; others, as of earlier requests, come after these."""
    place = {key: index for index, key in enumerate(planned)}
    return sorted(records, key=lambda record: place.get(record.cell.key, len(place)))


def _environments(run: Bundle) -> dict[str, Any]:
    """Software and hardware of the request, and of the records: each with the number of records made there."""
    texts = Counter(json_text(record.provenance) for record in run.records if record.provenance)
    by_text = {json_text(record.provenance): record.provenance for record in run.records}
    made = [{"records": count, **by_text[text]} for text, count in sorted(texts.items())]
    return {"request": run.plan.provenance, "records": made}
