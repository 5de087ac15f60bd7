"""`action`: what the papers prove, measured."""

from rbench.theory import Action, Mms, TheorySuite

ACTION = TheorySuite(
    name="action",
    summary="paths of three integrators against the least action: the gap, its order and the Hamiltonian",
    cell=Action,
    tasks=(
        "tanh[metric=none,mass=1]",
        "tanh[metric=ggn]",
        "tanh[loss=cross_entropy,metric=ggn]",
        "tanh[metric=ggn,ascent=true]",
    ),
    methods=("euler", "heun", "rk4"),
    sizes={"segments": (20, 40, 80)},
)

MMS = TheorySuite(
    name="mms",
    summary="minimizing movements of networks: four inner solvers, their iterations, seconds and errors",
    cell=Mms,
    tasks=(
        "nonlinear-regression[target=smooth]",
        "nonlinear-regression[target=step]",
        "nonlinear-regression[target=smooth,energy=logistic,ridge=0.5]",
    ),
    methods=("gauss_newton", "lbfgs", "adam", "gradient_descent"),
    sizes={"delta": (1e-1, 1e-2, 1e-3)},
)
