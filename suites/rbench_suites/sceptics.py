"""`sceptics`: exact second order, K-FAC and its like, and first-order methods on the same tasks, tuned alike."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

FIRST_ORDER = ("sgd[schedule=linear]", "adam[schedule=linear]", "muon[schedule=linear]")
KRONECKER = tuple(f"{method}[refresh=10,schedule=linear]" for method in ("shampoo", "soap", "prong", "kfac", "ekfac"))
SAMPLED, EXACT = (
    (
        f"riemannian[output_metric={metric},schedule=linear]",
        f"natural-gradient[output_metric={metric},solve=woodbury,schedule=linear]",
    )
    for metric in ("ggn_mc", "ggn")
)
"""By layer, and of the whole network. The exact metric has a row for every output of a datum, too many for `mnist`."""

METHODS = (*FIRST_ORDER, *KRONECKER, *SAMPLED)
SCEPTICS = TrainingSuite(
    name="sceptics",
    summary="exact second order, K-FAC and its like, and first-order methods, tuned alike",
    entries=(
        Entry("digits", (*METHODS, *EXACT)),
        Entry("teacher-student", (*METHODS, *EXACT)),
        Entry("mnist", METHODS, epochs=1),
    ),
    seeds=3,
    tuned=tuned("sceptics"),
)
