"""Runs for a page: records of training that no process made, with curves of any length."""

from datetime import UTC, datetime
from itertools import product

import numpy as np

from rbench.report.page import ReportedRun
from rbench.run import Budget, Record, Training
from rbench.run.gate import Gate
from rbench.run.provenance import environment

METHODS = ("sgd[lr=0.1]", "adam[lr=0.01]", "riemannian[output_metric=ggn,lr=0.3,mass=1]")
KNOWN = {"rbench": "9.9", "cpu": "Abacus", "cores": 2, "libraries": {"numpy": "2.0"}, "backend": {"numpy": "2.0"}}
GATE = Gate(
    backend="numpy", device="cpu", dtype="float32", cases=2, worst=1e-6, errors=(("losses", 1e-7), ("linear", 1e-6))
)
HOSTILE = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<!-- <script>", "<img src=x onerror=alert(1)>",
    "=cmd|' /C calc'!A0", "<b>bold</b>", "a\u2028b", "a\u202eb", "{{ 7 * 7 }}", "'; rm -rf ~; '",
    "\\\"><svg onload=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
]  # fmt: skip
"""Names of methods, tasks and runs, and reasons of failures, that would do something where they were not text."""


def record(method, task="digits", seed=0, evaluations=11, **changes):
    """A record of training that ended ok, unless changes say otherwise; its curve falls at a rate of its own."""
    cell = Training(
        suite="quick", backend="numpy", dtype="float32", threads=1, task=task, method=method, seed=seed,
        budget=Budget(steps=10 * evaluations),
    )  # fmt: skip
    draws = np.random.default_rng([seed, len(method), len(task)])
    times = np.linspace(0, 1, evaluations)
    losses = 2.3 * np.exp(-(3 + seed) * times) + 0.05 * draws.random(evaluations)
    history = [
        {"step": int(10 * n), "seconds": float(t), "train_loss": float(loss), "test_loss": float(1.1 * loss),
         "test_accuracy": float(np.exp(-loss))}
        for n, (t, loss) in enumerate(zip(times, losses, strict=True))
    ]  # fmt: skip
    last = history[-1]
    figures = {
        "device": "cpu", "n_parameters": 1210, "dataset_sha256": "0" * 64, "dataset_official": None,
        "step_seconds": float(1e-3 * draws.random()), "step_ratio_to_sgd": 1.0 + float(draws.random()),
        "steps": last["step"], "train_seconds": 1.0, **{name: last[name] for name in list(last)[2:]},
        "target_reached": True, "seconds_to_target": history[len(history) // 2]["seconds"], "peak_host_bytes": 45400,
    }  # fmt: skip
    if changes.get("status", "ok") != "ok":
        figures, history = {"device": "cpu"}, history[:3]
    own = {"figures": figures, "history": history, "provenance": KNOWN, "environment": environment(cell), "gate": GATE}
    return Record.model_construct(**{**dict(Record(cell=cell, status="ok", memory_status="ok")), **own, **changes})


def run(name="mine", methods=METHODS, tasks=("digits", "regression"), seeds=3, trials=(), **options):
    """A run of every method on every task at every seed."""
    records = [record(method, task, seed, **options) for task, method, seed in product(tasks, methods, range(seeds))]
    return ReportedRun(name, records, list(trials), [], datetime(2026, 11, 30, tzinfo=UTC))


def many(cells, evaluations=20):
    """A run of so many cells: 25 methods, which differ in their rates, on four tasks at as many seeds as it takes."""
    methods = [f"sgd[lr={0.01 * (n + 1):.2f}]" for n in range(25)]
    tasks = ("digits", "digits[hidden=[32]]", "digits[hidden=[64]]", "regression")
    return run("many", methods, tasks, -(-cells // 100), evaluations=evaluations)
