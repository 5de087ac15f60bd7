"""Records for tables: three methods on two tasks at three seeds, and a failure."""

from rbench.run import Budget, Record, Training

LONG = "would need 451.4 GiB for solver 'inverse' at layer 0; 22.8 GiB are free"
FIGURES = {
    "device": "cpu", "test_loss": 0.5, "step_ratio_to_sgd": 2.0, "train_seconds": 3.0, "step_seconds": 0.01,
    "seconds_to_target": 1.5, "peak_host_bytes": 2.0**21, "train_loss": 0.25, "dataset_sha256": "ab" * 32,
}  # fmt: skip
METHODS = {"sgd[lr=0.1]": 0.9, "kfac[lr=0.3,damping=1]": 0.95, "riemannian[output_metric=ggn_mc,lr=0.3,mass=1]": 0.7}
MACHINE = {"cpu": "Abacus", "rbench": "9.9", "libraries": {"numpy": "2.0"}}


def record(method, seed=0, status="ok", reason=None, task="digits[hidden=[16]]", backend="numpy", **figures):
    cell = Training(suite="s", task=task, method=method, backend=backend, seed=seed, budget=Budget(steps=5))
    own = {} if status != "ok" else FIGURES | figures
    return Record(cell=cell, status=status, reason=reason, figures=own, provenance=MACHINE)


RECORDS = [
    *(
        record(method, seed, test_accuracy=value + 0.01 * seed, train_seconds=value * (1 + seed), task=task)
        for task in ("digits[hidden=[16]]", "mnist")
        for method, value in METHODS.items()
        for seed in range(3)
    ),
    *(record("naive[output_metric=ggn,lr=1,mass=1]", seed, "skipped", LONG) for seed in range(3)),
]
