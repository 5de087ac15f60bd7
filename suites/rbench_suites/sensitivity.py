"""`sensitivity`: how much depends on the rate, the mass, the momentum and the batch, metric by metric."""

from rbench.methods import LogUniform
from rbench.run import Entry
from rbench.sensitivity import SensitivitySuite

IDENTITY, SAMPLED, LABELS, EMPIRICAL = (
    f"riemannian[output_metric={metric}]" for metric in ("identity", "ggn_mc", "true_vs_rest", "empirical_fisher")
)
"""The identity has a row for every output of a datum: on `mnist` and its autoencoder it takes too long."""

OVER_MASS = LogUniform(1e-2, 1e2)
"""Rates over the mass; every range is of four decades."""

SENSITIVITY = SensitivitySuite(
    name="sensitivity",
    summary="as many points of every method over rate, mass, momentum and batch; mnist and mnist-autoencoder with -t",
    entries=(Entry("digits", ("sgd", "adam", IDENTITY, SAMPLED, LABELS, EMPIRICAL, "kfac"), epochs=10),),
    when_asked=(
        Entry("mnist", ("sgd", "adam", SAMPLED, LABELS, EMPIRICAL, "kfac[refresh=10]"), epochs=1),
        Entry("mnist-autoencoder", ("sgd", "adam", SAMPLED, EMPIRICAL, "kfac[refresh=10]"), epochs=1),
    ),
    rates={
        "sgd": LogUniform(1e-3, 10),
        "adam": LogUniform(1e-4, 1),
        "riemannian": OVER_MASS,
        "naive": OVER_MASS,
        "kfac": OVER_MASS,
    },
    masses=LogUniform(1e-3, 10),
    points=16,
    seeds=1,
)
