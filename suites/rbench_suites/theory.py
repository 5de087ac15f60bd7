"""`action`: what the papers prove, measured."""

from rbench.theory import ActionSuite

ACTION = ActionSuite(
    name="action",
    summary="paths of three integrators against the least action: the gap, its order and the Hamiltonian",
    tasks=(
        "tanh[metric=none,mass=1]",
        "tanh[metric=ggn]",
        "tanh[loss=cross_entropy,metric=ggn]",
        "tanh[metric=ggn,ascent=true]",
    ),
)
