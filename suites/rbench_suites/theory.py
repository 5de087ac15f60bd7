"""`action`: what the papers prove, measured."""

from rbench.theory import Action, TheorySuite

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
