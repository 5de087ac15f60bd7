"""`synthetic`: tasks whose difficulty is known."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.quick import REGRESSION
from rbench_suites.settings import tuned

TEACHER_STUDENT = Entry(
    "teacher-student",
    (
        "sgd[lr=0.3]",
        "adam[lr=0.03]",
        "riemannian[output_metric=ggn_mc,lr=0.1,mass=0.1]",
        "riemannian[output_metric=ggn,lr=0.1,mass=0.001]",
        "kfac[lr=0.1,damping=0.1]",
    ),
)
DEEP_LINEAR = Entry(
    "deep-linear",
    (
        "sgd[lr=0.05]",
        "adam[lr=0.01]",
        "riemannian[output_metric=ggn_mc,lr=0.01,mass=0.1]",
        "riemannian[output_metric=ggn,lr=0.1,mass=0.1]",
        "kfac[lr=0.1,damping=0.1]",
    ),
)
LANCZOS = Entry(
    "lanczos",
    (
        "sgd[lr=0.3]",
        "adam[lr=0.1]",
        "riemannian[output_metric=ggn_mc,lr=0.03,mass=0.001]",
        "riemannian[output_metric=ggn,lr=0.01,mass=0.001]",
        "kfac[lr=0.1,damping=0.1]",
    ),
)
TWO_SPIRALS = Entry(
    "two-spirals",
    (
        "sgd[lr=0.2]",
        "adam[lr=0.05]",
        "riemannian[output_metric=true_vs_rest,lr=0.03,mass=0.01]",
        "riemannian[output_metric=ggn_mc,lr=0.01,mass=0.01]",
        "riemannian[output_metric=ggn,lr=0.03,mass=0.01]",
        "kfac[lr=0.1,damping=0.01]",
    ),
)
SYNTHETIC = TrainingSuite(
    name="synthetic",
    summary="ill-conditioned regression, teacher and student, deep linear, two spirals, a sum of exponentials",
    entries=(REGRESSION, TEACHER_STUDENT, DEEP_LINEAR, TWO_SPIRALS, LANCZOS),
    threads=1,
    tuning="each method's best of 8 settings (regression: 12) on a validation split, seed 0; naive takes riemannian's "
    "for the same metric",
    tuned=tuned("synthetic"),
)
