"""`mnist`: a small classifier."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

MNIST = TrainingSuite(
    name="mnist",
    summary="MNIST classifier, 784-256-128-10",
    entries=(
        Entry(
            "mnist",
            (
                "sgd[lr=0.2,schedule=linear]",
                "adam[lr=0.007,schedule=linear]",
                "riemannian[output_metric=true_vs_rest,lr=0.3,mass=1,schedule=linear]",
                "riemannian[output_metric=ggn_mc,lr=0.3,mass=1,schedule=linear]",
                "riemannian[output_metric=empirical_fisher,lr=0.5,mass=1,schedule=linear]",
                "riemannian[output_metric=ggn,lr=0.3,mass=1,schedule=linear]",
                "kfac[lr=0.05,damping=0.1,refresh=10,schedule=linear]",
                "naive[output_metric=ggn_mc,lr=0.3,mass=1,schedule=linear]",
            ),
        ),
    ),
    tuning="each method's best of 8 settings (rate; rate and mass or damping) by accuracy on a validation split after "
    "3 epochs, seed 0; naive takes riemannian's for the same metric",
    tuned=tuned("mnist"),
)
