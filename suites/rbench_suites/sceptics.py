"""`sceptics`: exact second order, K-FAC and its like, and first-order methods on the same tasks, to be tuned alike."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

FIRST_ORDER = ("sgd[schedule=linear]", "adam[schedule=linear]", "muon[schedule=linear]")
KRONECKER = (
    "shampoo[schedule=linear]",
    "soap[schedule=linear]",
    "prong[schedule=linear]",
    "kfac[schedule=linear]",
    "ekfac[schedule=linear]",
)
EXACT = (
    "riemannian[output_metric=ggn,schedule=linear]",
    "natural-gradient[output_metric=ggn,schedule=linear]",
)
SAMPLED = ("riemannian[output_metric=ggn_mc,schedule=linear]", "natural-gradient[output_metric=ggn_mc,schedule=linear]")
METHODS = (*FIRST_ORDER, *KRONECKER, *EXACT, *SAMPLED)
SCEPTICS = TrainingSuite(
    name="sceptics",
    summary="exact second order, K-FAC and its like, and first-order methods, to be tuned first by rbench tune",
    entries=(Entry("digits", METHODS), Entry("teacher-student", METHODS)),
    seeds=3,
    tuned=tuned("sceptics"),
)
