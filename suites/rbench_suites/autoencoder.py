"""`autoencoder`: the deep autoencoder of MNIST, hard for first-order methods."""

from rbench.run import Entry, TrainingSuite
from rbench_suites.settings import tuned

AUTOENCODER = TrainingSuite(
    name="autoencoder",
    summary="deep MNIST autoencoder, 784-1000-500-250-30-250-500-1000-784",
    entries=(
        Entry(
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
        ),
    ),
    tuning="each method's best of 8 settings by squared error on a validation split after 2 epochs, seed 0; ggn and "
    "naive take those of ggn_mc",
    tuned=tuned("autoencoder"),
)
