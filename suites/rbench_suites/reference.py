"""`reference`: one table over five tasks, every method tuned with the same budget."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

METHODS = (
    "sgd[schedule=linear]",
    "adam[schedule=linear]",
    "riemannian[output_metric=ggn_mc,schedule=linear]",
    "kfac[refresh=10,schedule=linear]",
)
EXACT = "riemannian[output_metric=ggn,schedule=linear]"
LABELS = "riemannian[output_metric=true_vs_rest,schedule=linear]"
REFERENCE = TrainingSuite(
    name="reference",
    summary="two classifiers, an autoencoder and two synthetic tasks: accuracy, time to target and memory",
    entries=(
        Entry("digits", (*METHODS, LABELS, EXACT)),
        Entry("mnist", (*METHODS, LABELS), epochs=3),
        Entry("mnist-autoencoder", METHODS),
        Entry("regression", (*METHODS, EXACT)),
        Entry("teacher-student", (*METHODS, EXACT)),
    ),
    seeds=3,
    tuned=tuned("reference"),
)
