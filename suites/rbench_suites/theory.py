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
        "nonlinear-regression[target=smooth,energy=logistic,ridge=0.5]",
        "latent-diffusion[outer=15]",
    ),
    methods=("gauss_newton", "lbfgs", "adam", "gradient_descent"),
    sizes={"delta": (1e-1, 1e-2, 1e-3)},
)

MMS_DIFFUSION = TheorySuite(
    name="mms-diffusion",
    summary="minimizing movements on fresh draws of noisy latents: distance to the exact denoiser, seconds, samples",
    cell=Mms,
    tasks=("latent-diffusion[draws=fresh,tau=0.3,count=256]",),
    methods=(
        "gauss_newton[cap=1,damping=0.1]",
        "gauss_newton[cap=1,damping=0.1,metric=ggn_mc,rank=2]",
        "lbfgs[cap=10]",
        "adam[cap=10]",
    ),
    sizes={"delta": (0.0,)},
)
