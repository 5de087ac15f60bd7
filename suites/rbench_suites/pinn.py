"""`pinn`: a network that solves a differential equation, in float64."""

from rbench.run import Entry, TrainingSuite

OF_NETWORK = "riemannian[output_metric=ggn,coupling=network"
LINE_SEARCHED = f"{OF_NETWORK},lr=1,line_search=10"
POISSON = Entry(
    "poisson",
    (
        "sgd[lr=0.001]",
        "adam[lr=0.03,schedule=linear]",
        "kfac[factors=exact,damping=1e-8,lr=1,line_search=10,momentum=0]",
        "kfac[factors=exact,damping=1e-5,fit=scalar,fit_damping=1e-8]",
        f"{OF_NETWORK},mass=1e-4,fit=scalar,fit_damping=1e-8]",
        # Energy natural gradient, without momentum and with SPRING's.
        f"{LINE_SEARCHED},mass=1e-9,momentum=0]",
        f"{LINE_SEARCHED},mass=1e-8,momentum=0.5,spring=true]",
    ),
)
PINN = TrainingSuite(
    name="pinn",
    summary="a network solves Poisson's equation: natural gradients beside K-FAC and first-order methods",
    entries=(POISSON,),
    threads=1,
    tuning="by hand at seed 0, by the L2 error after some ten seconds, and not equally: the best of 2 settings of sgd, "
    "3 of adam, 4 of kfac together, with a line search and with a fit, 5 of riemannian with a fit, 7 of the energy "
    "natural gradient (riemannian with a line search and no momentum) and 8 of it with SPRING's momentum",
    dtype="float64",
    labels={
        "kfac[line_search=10]": "kfac, line search",
        "kfac[fit=scalar]": "kfac, fit of two numbers",
        "riemannian[coupling=network,fit=scalar]": "natural gradient, fit of two numbers",
        "riemannian[coupling=network,line_search=10]": "energy natural gradient",
        "riemannian[coupling=network,line_search=10,spring=true]": "energy natural gradient, SPRING's momentum",
    },
)
