"""Where the figures of a run come from, in a few lines."""

from collections.abc import Iterable
from typing import Any

from rbench.report.frame import name_of
from rbench.report.page.runs import ReportedRun
from rbench.run.record import Record


def provenance(run: ReportedRun) -> dict[str, str]:
    """What a reader must know of a run: machines, versions, seeds, data, and when; what is not known is left out."""
    records = run.records or run.trials
    known = [record.provenance for record in records if record.provenance]
    return {
        name: words
        for name, words in {
            "device": _listed(_device(record) for record in records if record.provenance),
            "software": _listed(_software(one) for one in known),
            "seeds": _listed(sorted(_seeds(records))),
            "cells": _cells(records),
            "data": _listed(_data(records)),
            "records of": "" if run.written is None else f"{run.written:%Y-%m-%d %H:%M} UTC",
        }.items()
        if words
    }


def _listed(words: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(str(word) for word in words if word is not None and word != ""))


def _device(record: Record) -> str:
    gpu = record.environment.get("gpu")
    name = record.provenance.get("device") or record.figures.get("device") or "cpu"
    model = gpu or record.provenance.get("cpu") or "CPU not known"
    return f"{name}: {model}, cores {record.provenance.get('cores') or '?'}, threads {record.cell.threads}"


def _software(known: dict[str, Any]) -> str:
    commit = known.get("commit")
    source = f"commit {commit['id'][:10]}{' with changes' if commit.get('dirty') else ''}" if commit else ""
    versions = {"rbench": known.get("rbench"), "Python": known.get("python"), **known.get("backend", {})}
    return ", ".join(filter(None, [*(f"{name} {one}" for name, one in versions.items() if one), source]))


def _seeds(records: list[Record]) -> set[int]:
    return {record.cell.seed for record in records if hasattr(record.cell, "seed")}


def _cells(records: list[Record]) -> str:
    ended = {status: sum(r.status == status for r in records) for status in dict.fromkeys(r.status for r in records)}
    return ", ".join(f"{count} {status}" for status, count in ended.items())


def _data(records: list[Record]) -> Iterable[str]:
    for record in records:
        figures = record.figures
        if (sha := figures.get("dataset_sha256")) and record.cell.data:
            official = {True: "official", False: "NOT official"}.get(figures.get("dataset_official"))  # type: ignore[arg-type]
            words = f"sha256 {sha[:12]}…"
            yield f"{name_of(record.cell.data[0])} ({', '.join(filter(None, (official, words)))})"
