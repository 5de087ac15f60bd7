"""`mnist`, `autoencoder` and `cifar10`: classifiers and a deep autoencoder of images."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

CLASSIFIER = Entry(
    "mnist",
    (
        "sgd[lr=0.2,schedule=linear]",
        "adam[lr=0.007,schedule=linear]",
        "riemannian[output_metric=true_vs_rest,lr=0.3,mass=1,schedule=linear]",
        "riemannian[output_metric=ggn_mc,lr=0.3,mass=1,schedule=linear]",
        "riemannian[output_metric=empirical_fisher,lr=0.5,mass=1,schedule=linear]",
        "riemannian[output_metric=ggn,lr=0.3,mass=1,schedule=linear]",
        "kfac[lr=0.05,damping=0.1,refresh=10,schedule=linear]",
        "naive[output_metric=ggn_mc,lr=0.3,mass=1,schedule=linear]",
    ),
)
MNIST = TrainingSuite(
    name="mnist",
    summary="MNIST classifier, 784-256-128-10",
    entries=(CLASSIFIER,),
    tuning="each method's best of 8 settings (rate; rate and mass or damping) by accuracy on a validation split after "
    "3 epochs, seed 0; naive takes riemannian's for the same metric",
    tuned=tuned("mnist"),
)
DEEP_AUTOENCODER = Entry(
    "mnist-autoencoder",
    (
        "sgd[lr=0.003]",
        "adam[lr=0.0007]",
        "riemannian[output_metric=ggn_mc,lr=0.03,mass=0.1,kl_clip=0.001]",
        "riemannian[output_metric=empirical_fisher,lr=0.3,mass=1,kl_clip=0.01]",
        "riemannian[output_metric=ggn,lr=0.03,mass=0.1,kl_clip=0.001]",
        "kfac[lr=0.03,damping=0.2,refresh=10,kl_clip=0.003]",
        "naive[output_metric=ggn_mc,lr=0.03,mass=0.1,kl_clip=0.001]",
    ),
)
AUTOENCODER = TrainingSuite(
    name="autoencoder",
    summary="deep MNIST autoencoder, 784-1000-500-250-30-250-500-1000-784",
    entries=(DEEP_AUTOENCODER,),
    tuning="each method's best of 8 settings by squared error on a validation split after 2 epochs, seed 0; ggn and "
    "naive take those of ggn_mc",
    tuned=tuned("autoencoder"),
)
PHOTOGRAPHS = Entry(
    "cifar10[network=[cnn,resnet8]]",
    (
        "sgd[lr=0.1,schedule=linear]",
        "adam[lr=0.005,schedule=linear]",
        "riemannian[output_metric=true_vs_rest,lr=0.03,mass=0.1,schedule=linear]",
        "riemannian[output_metric=ggn_mc,lr=0.05,mass=0.3,schedule=linear]",
        "kfac[lr=0.01,damping=0.03,refresh=10,schedule=linear]",
    ),
)
CIFAR10 = TrainingSuite(
    name="cifar10",
    summary="CIFAR-10 photographs, a small convolutional and a residual network",
    entries=(PHOTOGRAPHS,),
    tuning="roughly, on cnn: each method's best of 3 to 5 settings by accuracy on a validation split after 1 epoch, "
    "seed 0, on an unofficial copy of the data; resnet8 was not tuned, it takes the same",
    tuned=tuned("cifar10"),
)
