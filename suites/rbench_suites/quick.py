"""`quick`: does it work here? Real data that need no download, and a synthetic task, in under a minute."""

from rbench.run.suite import Entry, Suite

QUICK = Suite(
    name="quick",
    summary="digits and a small nonlinear least-squares problem, no download, under a minute",
    entries=(
        Entry(
            "digits",
            (
                "sgd[lr=0.1]",
                "adam[lr=0.003]",
                "riemannian[output_metric=true_vs_rest,lr=0.03,mass=0.1]",
                "riemannian[output_metric=ggn_mc,lr=0.03,mass=0.1]",
                "riemannian[output_metric=ggn,lr=0.03,mass=0.1]",
                "kfac[lr=0.03,damping=0.1]",
                "naive[output_metric=ggn_mc,lr=0.03,mass=0.1]",
            ),
            epochs=10,
        ),
    ),
)
