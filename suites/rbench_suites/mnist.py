"""`mnist` and `autoencoder`."""

from rbench.run.suite import Entry, Suite

MNIST = Suite(
    name="mnist",
    summary="MNIST classifier, 784-256-128-10",
    entries=(
        Entry(
            "mnist",
            (
                "sgd[lr=0.1]",
                "adam[lr=0.001]",
                "riemannian[output_metric=true_vs_rest,lr=0.03]",
                "riemannian[output_metric=ggn_mc,lr=0.03]",
                "riemannian[output_metric=ggn,lr=0.03]",
                "kfac[lr=0.03]",
                "naive[output_metric=ggn_mc,lr=0.03]",
            ),
        ),
    ),
)
AUTOENCODER = Suite(
    name="autoencoder",
    summary="deep MNIST autoencoder, 784-1000-500-250-30-250-500-1000-784",
    entries=(
        Entry(
            "mnist-autoencoder",
            (
                "sgd[lr=0.01]",
                "adam[lr=0.001]",
                "riemannian[output_metric=ggn_mc,lr=0.01,mass=0.1,kl_clip=0.001]",
                "kfac[lr=0.01,refresh=10,damping=1,kl_clip=0.1]",
                "naive[output_metric=ggn_mc]",
            ),
        ),
    ),
)
