"""`sceptics`: exact second order, K-FAC and its like, and first-order methods on the same tasks, tuned alike."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

FIRST_ORDER = ("sgd[schedule=linear]", "adam[schedule=linear]", "muon[schedule=linear]")
KRONECKER = tuple(f"{method}[refresh=10,schedule=linear]" for method in ("shampoo", "soap", "prong", "kfac", "ekfac"))
OF_THE_BATCH = "kfac[decay=0,schedule=linear]"
"""K-FAC of the batch alone, at every step, as the exact metrics are."""

SAMPLED = (
    "riemannian[output_metric=ggn_mc,schedule=linear]",
    "natural-gradient[output_metric=ggn_mc,schedule=linear,solve=woodbury]",
)
EXACT = (
    "riemannian[output_metric=ggn,schedule=linear]",
    "natural-gradient[output_metric=ggn,schedule=linear,solve=woodbury]",
)
"""By layer, and of the whole network."""

METHODS = (*FIRST_ORDER, *KRONECKER, OF_THE_BATCH, *SAMPLED, *EXACT)
SCEPTICS = TrainingSuite(
    name="sceptics",
    summary="exact second order, K-FAC and its like, and first-order methods, tuned alike",
    entries=(
        Entry("digits", METHODS),
        Entry("teacher-student", METHODS),
        Entry("teacher-student[noise=0.5]", METHODS),
        Entry("mnist", METHODS, epochs=1),
    ),
    seeds=3,
    tuned=tuned("sceptics"),
    labels={"kfac": "kfac", "kfac[decay=0]": "kfac of the batch alone"},
)
