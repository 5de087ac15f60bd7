"""`reference`: one table over five tasks, every method tuned with the same budget."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

KRONECKER = "riemannian[mass=kronecker,factor_refresh=10,fit=layers,schedule=linear"
METHODS = (
    "sgd[schedule=linear]",
    "adam[schedule=linear]",
    "riemannian[output_metric=ggn_mc,schedule=linear]",
    "kfac[refresh=10,schedule=linear]",
    "kfac[refresh=10,fit=scalar,schedule=linear]",
    f"{KRONECKER},rows=false]",
)
ROWS = f"{KRONECKER}]"
PART = f"{KRONECKER},rows=false,metric_batch=0.25]"
EXACT = "riemannian[output_metric=ggn,schedule=linear]"
LABELS = "riemannian[output_metric=true_vs_rest,schedule=linear]"
REFERENCE = TrainingSuite(
    name="reference",
    summary="two classifiers, an autoencoder and two synthetic tasks: accuracy, time to target and memory",
    entries=(
        Entry("digits", (*METHODS, ROWS, LABELS, EXACT)),
        Entry("mnist", (*METHODS, PART, LABELS), epochs=3),
        Entry("mnist-autoencoder", (*METHODS, PART)),
        Entry("regression", (*METHODS, ROWS, EXACT)),
        Entry("teacher-student", (*METHODS, ROWS, EXACT)),
    ),
    seeds=3,
    tuned=tuned("reference"),
    labels={
        "kfac[fit=scalar]": "kfac, fit of two numbers",
        "riemannian[mass=kronecker,fit=layers,rows=false]": "K-FAC's direction, fit per layer",
        "riemannian[mass=kronecker,fit=layers,rows=false,metric_batch=0.25]": "K-FAC's direction, fit to ¼ batch",
        "riemannian[mass=kronecker,fit=layers]": "riemannian, fit per layer",
    },
)
