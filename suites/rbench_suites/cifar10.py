"""`cifar10`: convolutional networks on photographs."""

from rbench.run.suite import Entry, Suite

CIFAR10 = Suite(
    name="cifar10",
    summary="CIFAR-10 photographs, a small convolutional and a residual network",
    entries=(
        Entry(
            "cifar10[network=[cnn,resnet8]]",
            (
                "sgd[lr=0.05,schedule=linear]",
                "adam[lr=0.002,schedule=linear]",
                "riemannian[output_metric=true_vs_rest,lr=0.1,mass=1,schedule=linear]",
                "riemannian[output_metric=ggn_mc,lr=0.1,mass=1,schedule=linear]",
                "kfac[lr=0.02,damping=0.1,refresh=10,schedule=linear]",
            ),
        ),
    ),
    tuning="first values, not tuned",
)
