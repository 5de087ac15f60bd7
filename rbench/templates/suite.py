from rbench import hookimpl
from rbench.run import Entry, TrainingSuite

MY_SUITE = TrainingSuite(
    name="my-suite",
    summary="three methods on a network of sixteen units",
    # A task each, with its methods: a list in a SPEC tries each of its values.
    entries=(Entry("digits[hidden=[16]]", ("sgd[lr=0.2]", "adam[lr=0.03]", "kfac[lr=0.3,damping=1]"), epochs=2),),
    seeds=3,
    tuning="chosen by hand",  # how the settings were found, for the notes of tables
    labels={"kfac[damping=1]": "K-FAC, strongly damped"},  # what tables call a method with these settings
)


@hookimpl
def rbench_suites():
    return [MY_SUITE]
