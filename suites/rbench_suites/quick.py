"""`quick`: does it work here? Real data that need no download, and a synthetic task, in under a minute."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

DIGITS = Entry(
    "digits[hidden=[16]]",
    (
        "sgd[lr=0.2]",
        "adam[lr=0.03]",
        "riemannian[output_metric=true_vs_rest,lr=0.3,mass=1]",
        "riemannian[output_metric=ggn_mc,lr=0.3,mass=1]",
        "riemannian[output_metric=ggn,lr=0.3,mass=1]",
        "kfac[lr=0.3,damping=1]",
    ),
    epochs=10,
)
REGRESSION = Entry(
    "regression",
    (
        "sgd[lr=1.5]",
        "adam[lr=1]",
        "riemannian[output_metric=empirical_fisher,lr=0.1,mass=0.01]",
        "riemannian[output_metric=ggn_mc,lr=0.03,mass=0.01]",
        "riemannian[output_metric=ggn,lr=0.04,mass=0.001]",
        "naive[output_metric=ggn,lr=0.04,mass=0.001]",
        "kfac[lr=0.07,damping=0.0001]",
    ),
    epochs=10,
)
QUICK = TrainingSuite(
    name="quick",
    summary="digits and an ill-conditioned regression, no download, under a minute",
    entries=(DIGITS, REGRESSION),
    threads=1,
    tuning="each method's best of 8 (digits) or 12 (regression) settings on a validation split, seed 0; naive takes "
    "riemannian's for the same metric",
    tuned=tuned("quick"),
)
