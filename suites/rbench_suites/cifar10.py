"""`cifar10`: convolutional networks on photographs."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

CIFAR10 = TrainingSuite(
    name="cifar10",
    summary="CIFAR-10 photographs, a small convolutional and a residual network",
    entries=(
        Entry(
            "cifar10[network=[cnn,resnet8]]",
            (
                "sgd[lr=0.1,schedule=linear]",
                "adam[lr=0.005,schedule=linear]",
                "riemannian[output_metric=true_vs_rest,lr=0.03,mass=0.1,schedule=linear]",
                "riemannian[output_metric=ggn_mc,lr=0.05,mass=0.3,schedule=linear]",
                "kfac[lr=0.01,damping=0.03,refresh=10,schedule=linear]",
            ),
        ),
    ),
    tuning="roughly, on cnn: each method's best of 3 to 5 settings by accuracy on a validation split after 1 epoch, "
    "seed 0, on an unofficial copy of the data; resnet8 was not tuned, it takes the same",
    tuned=tuned("cifar10"),
)
