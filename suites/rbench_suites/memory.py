"""`memory`: peak memory of a step of each method, beside SGD's."""

from rbench.cost import CostSuite
from rbench_suites.step_time import STEP_TIME

MEMORY = CostSuite(
    name="memory",
    summary="peak memory of a step, beside SGD's",
    networks=STEP_TIME.networks,
    methods=(*STEP_TIME.methods, "naive[output_metric=ggn]"),
    batch_sizes=(32, 128, 512),
)
