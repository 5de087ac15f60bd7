"""`step-time`: seconds of each method's step over SGD's, beside the ratio that arithmetic alone would give."""

from rbench.cost import CostSuite

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
