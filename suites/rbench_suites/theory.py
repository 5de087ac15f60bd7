"""`action`, `stability`: what the papers prove, measured."""

from rbench.theory import Action, Stability, TheorySuite

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

STABILITY = TheorySuite(
    name="stability",
    summary="what one exchanged datum changes of trained outputs, and what the bound of Theorem 3 says of that",
    cell=Stability,
    tasks=("random-features", "tanh"),
    methods=(
        "flow[metric=none,mass=1]",
        "flow[metric=ggn,mass=1]",
        "flow[metric=ggn,mass=0.1]",
        "flow[metric=ggn,mass=0.01]",
        "flow[metric=ggn,mass=0.1,common=true]",
        "regularised[alpha=0.1]",
        "two-starts[metric=none,mass=1]",
        "two-starts[metric=ggn,mass=0.1]",
    ),
    sizes={"n_data": (8, 16, 32, 64)},
    sizes_of={"regularised": {"n_data": (8, 16, 32, 64, 128, 256, 512)}},
    seeds=5,
)
