"""`pinn`: a network that solves a differential equation, in float64."""

from rbench.run import Entry, TrainingSuite

ENERGY = "riemannian[output_metric=ggn,coupling=network,lr=1,line_search=15"
PINN = TrainingSuite(
    name="pinn",
    summary="a network solves Poisson's equation: energy natural gradient, SPRING and K-FAC beside first-order methods",
    entries=(
        Entry(
            "poisson",
            (
                "sgd[lr=0.001]",
                "adam[lr=0.01]",
                "kfac[lr=1,line_search=15]",
                "kfac[fit=scalar]",
                "riemannian[output_metric=ggn,coupling=network,mass=0.0001,fit=scalar,fit_damping=1e-8]",
                f"{ENERGY},mass=1e-8,momentum=0]",
                f"{ENERGY},mass=1e-8,momentum=0.5,spring=true]",
            ),
        ),
    ),
    threads=1,
    dtype="float64",
)
