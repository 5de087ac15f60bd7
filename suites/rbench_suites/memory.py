"""`memory`: what a step of each method takes of memory, beside SGD's."""

from rbench.run.suite import CostSuite

MEMORY = CostSuite(
    name="memory",
    summary="peak memory of a step, beside SGD's",
    networks=("784-1024-1024-10", "784-256-128-10", "cnn"),
    methods=(
        "sgd",
        "adam",
        "riemannian[output_metric=true_vs_rest]",
        "riemannian[output_metric=ggn_mc]",
        "riemannian[output_metric=ggn,batch=mean]",
        "riemannian[output_metric=ggn]",
        "naive[output_metric=ggn]",
        "kfac[decay=0]",
        "kfac[refresh=10]",
    ),
    batch_sizes=(32, 128, 512),
)
