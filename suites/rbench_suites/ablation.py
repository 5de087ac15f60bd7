"""`ablation`: what each part of a fitted Riemannian step brings, all else alike."""

from rbench.run import Entry, TrainingSuite

SETTINGS = "damping=0.02,fit_damping=0.1,trust=10,schedule=linear"
KRONECKER = "riemannian[mass=kronecker,factor_refresh=10"
METHODS = (
    # K-FAC as it is tuned, with one rate and momentum fitted (Martens and Grosse 2015), and with one per layer.
    "kfac[lr=0.03,damping=0.2,refresh=10,kl_clip=0.003]",
    f"kfac[refresh=10,fit=scalar,{SETTINGS}]",
    f"kfac[refresh=10,fit=layers,{SETTINGS}]",
    # The fit's rows from a quarter of the batch; a step bounded by the batch's loss.
    f"kfac[refresh=10,fit=layers,metric_batch=0.25,{SETTINGS}]",
    "kfac[refresh=10,fit=layers,damping=0.02,fit_damping=0.1,schedule=linear]",
    # Rows in the direction: per layer, of the network, weighted.
    f"{KRONECKER},fit=layers,{SETTINGS}]",
    f"{KRONECKER},fit=layers,coupling=network,{SETTINGS}]",
    f"{KRONECKER},fit=layers,metric_batch=0.25,{SETTINGS}]",
    f"{KRONECKER},fit=layers,rows=0.1,{SETTINGS}]",
    f"{KRONECKER},fit=layers,rank=2,{SETTINGS}]",
    f"{KRONECKER},fit=layers,refresh=10,{SETTINGS}]",
    # Without a fit.
    f"{KRONECKER},lr=0.03,damping=0.2,kl_clip=0.003]",
    f"{KRONECKER},coupling=network,lr=0.03,damping=0.2,kl_clip=0.003]",
    # Other masses.
    "riemannian[lr=0.03,mass=0.1,kl_clip=0.001]",
    "riemannian[mass=0.1,fit=layers,fit_damping=0.1,trust=1,schedule=linear]",
    "riemannian[mass=0.1,fit=layers,coupling=network,fit_damping=0.1,trust=1,schedule=linear]",
    "riemannian[mass=diagonal,rows=false,damping=0.1,factor_refresh=10,fit=layers,fit_damping=0.1,trust=1,"
    "schedule=linear]",
)
# What is pulled back, where there are labels: with a mass of one number, and with a Kronecker mass and a fitted step.
ONE_NUMBER = "lr=0.3,mass=1,schedule=linear"
FITTED = "mass=kronecker,factor_refresh=10,fit=layers,damping=0.004,fit_damping=0.03,schedule=linear"
PULLED_BACK = (
    f"riemannian[output_metric=ggn_mc,{ONE_NUMBER}]",
    f"riemannian[output_metric=ggn_mc,rank=4,{ONE_NUMBER}]",
    f"riemannian[output_metric=true_vs_rest,{ONE_NUMBER}]",
    f"riemannian[output_metric=ggn,{ONE_NUMBER}]",
    f"riemannian[output_metric=ggn,batch=mean,{ONE_NUMBER}]",
    f"riemannian[output_metric=ggn_mc,{FITTED}]",
    f"riemannian[output_metric=ggn_mc,rank=4,{FITTED}]",
    f"riemannian[output_metric=true_vs_rest,{FITTED}]",
    f"riemannian[output_metric=ggn,{FITTED}]",
)
ABLATION = TrainingSuite(
    name="ablation",
    summary="parts of a fitted step, one by one: mass, rows, coupling, fit, metric, rank, refresh, part of the batch",
    entries=(
        Entry("mnist-autoencoder[hidden=[250,100,20,100,250]]", METHODS, epochs=2),
        Entry("digits", PULLED_BACK),
    ),
    threads=1,
    tuning="one setting for all that share a part, from trials on the full autoencoder and on digits",
)
