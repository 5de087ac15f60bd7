"""`step-time`, `memory` and `scaling`: what a step of each method costs."""

from rbench.cost import CostSuite, Sweep

STEP_TIME = CostSuite(
    name="step-time",
    summary="seconds of a step over SGD's, and the floor that its arithmetic sets",
    benchmarks="rbench.cost.step_time_benchmarks",
    networks=("784-1024-1024-10", "784-256-128-10", "cnn"),
    methods=(
        "sgd",
        "adam",
        "riemannian[output_metric=true_vs_rest]",
        "riemannian[output_metric=ggn_mc]",
        "riemannian[output_metric=ggn,batch=mean]",
        "riemannian[output_metric=ggn]",
        "kfac[decay=0]",
        "kfac[refresh=10]",
        "kfac",
    ),
    batch_sizes=(128,),
    parts=("gram product", "capacitance solve", "pullback", "patches", "convolution"),
)
MEMORY = CostSuite(
    name="memory",
    summary="peak memory of a step, beside SGD's",
    networks=STEP_TIME.networks,
    methods=(*STEP_TIME.methods, "naive[output_metric=ggn]"),
    batch_sizes=(32, 128, 512),
)

WIDTHS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
OUTPUTS = (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
DEPTHS = (1, 2, 4, 8, 16, 32, 64)
SCALING = CostSuite(
    name="scaling",
    summary="time and memory of each solver as parameters, outputs, batch and depth grow",
    methods=(
        "riemannian[output_metric=identity,solver=gram]",
        "riemannian[output_metric=identity,solver=gram,batch=mean]",
        "riemannian[output_metric=identity,solver=rows]",
        "riemannian[output_metric=identity,solver=dense]",
        "riemannian[output_metric=identity,solver=inverse]",
    ),
    most_seconds=2.0,
    sweeps=(
        Sweep("n", tuple(f"{width}-{width}-10" for width in WIDTHS), (32,)),
        Sweep("d", tuple(f"32-32-{outputs}" for outputs in OUTPUTS), (32,)),
        Sweep("batch", ("32-32-10",), BATCHES),
        Sweep("depth", tuple(f"32x{depth}-10" for depth in DEPTHS), (32,)),
    ),
)
