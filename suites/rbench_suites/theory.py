"""What the papers prove, measured."""

from rbench.theory import Action, Mms, Part, Stability, StatementCell, TheorySuite

_SMALL = ("tanh[metric=ggn,hidden=3]", "tanh[loss=cross_entropy,metric=ggn,hidden=3]")
_FLOWS = (
    "tanh[metric=none,mass=1]",
    "tanh[metric=ggn]",
    "tanh[loss=cross_entropy,metric=ggn]",
    "tanh[metric=[[[1,0.5],[0.5,2]]]]",
    "tanh[metric=ggn,ascent=true]",
)
_QUICK = ("hamilton", "second-variation", "multipliers", "potential")

ACTION = TheorySuite(
    name="action",
    summary="paths of three integrators against the least action, and the other statements on it",
    parts=(
        Part(Action, _FLOWS, ("euler", "heun", "rk4"), {"segments": (20, 40, 80)}),
        Part(StatementCell, _FLOWS, _QUICK),
        Part(StatementCell, _SMALL, ("retrace", "growth", "geodesic-speed", "geodesic-limit")),
        Part(StatementCell, ("tanh[metric=identity,hidden=none]",), ("geodesic-embedding",)),
        Part(StatementCell, ("implicit", "implicit[loss=cross_entropy]"), ("implicit-gradient",)),
        Part(StatementCell, ("index-1",), ("index-1-adjoint",)),
        Part(StatementCell, ("rlc",), ("brayton-moser", "circuit-action", "first-variation", "saddle")),
    ),
)

_PAIRS = ("random-features", "tanh")
_SIZES = (8, 16, 32, 64)

STABILITY = TheorySuite(
    name="stability",
    summary="what one exchanged datum changes of trained outputs, and what the bound of Theorem 3 says of that",
    parts=(
        Part(
            Stability,
            _PAIRS,
            (
                "flow[metric=none,mass=1]",
                "flow[metric=ggn,mass=1]",
                "flow[metric=ggn,mass=0.1]",
                "flow[metric=ggn,mass=0.01]",
                "flow[metric=ggn,mass=0.1,common=true]",
                "two-starts[metric=none,mass=1]",
                "two-starts[metric=ggn,mass=0.1]",
            ),
            {"n_data": _SIZES},
        ),
        Part(Stability, _PAIRS, ("regularised[alpha=0.1]",), {"n_data": (*_SIZES, 128, 256, 512)}),
    ),
    seeds=5,
)

MMS = TheorySuite(
    name="mms",
    summary="minimizing movements of networks: four inner solvers, their iterations, seconds and errors",
    parts=(
        Part(
            Mms,
            (
                "nonlinear-regression[target=smooth]",
                "nonlinear-regression[target=smooth,energy=logistic,ridge=0.5]",
                "latent-diffusion[outer=15]",
            ),
            ("gauss_newton", "lbfgs", "adam", "gradient_descent"),
            {"delta": (1e-1, 1e-2, 1e-3)},
        ),
    ),
)

MMS_DIFFUSION = TheorySuite(
    name="mms-diffusion",
    summary="minimizing movements on fresh draws of noisy latents: distance to the exact denoiser, seconds, samples",
    parts=(
        Part(
            Mms,
            ("latent-diffusion[draws=fresh,tau=0.3,count=256]",),
            (
                "gauss_newton[cap=1,damping=0.1]",
                "gauss_newton[cap=1,damping=0.1,metric=ggn_mc,rank=2]",
                "lbfgs[cap=10]",
                "adam[cap=10]",
            ),
            {"delta": (0.0,)},
        ),
    ),
)
