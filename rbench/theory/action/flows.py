"""Flows whose paths are looked at."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from rbench.backend import Backend
from rbench.losses import get_loss
from rbench.metrics import get_output_metric
from rbench.modules import Linear, Tanh
from rbench.random import generator
from rbench.spec import Configurable
from rbench.theory import flow


class TanhFlow(Configurable):
    """The flow of a tanh network 3-6-2, or of another width, on 12 random data.

    Attributes:
        loss: `squared_error` or `cross_entropy`.
        metric: name of an output metric without samples, or a matrix (2, 2); `none` for the mass alone, which makes the
            metric constant.
        mass: M.
        hidden: width of the hidden layer; `none` for one layer, tanh(Wx + b).
        ascent: whether the path climbs, for a time of 0.5 in place of 2: it leaves every bound in finite time.
    """

    name: ClassVar[str] = "tanh"
    summary: ClassVar[str] = "the flow of a tanh network of 3 inputs and 2 outputs on 12 data"
    always: ClassVar[tuple[str, ...]] = ("loss", "metric")
    loss: Literal["squared_error", "cross_entropy"] = "squared_error"
    metric: str | tuple[tuple[float, ...], ...] | None = "ggn"
    mass: float = Field(0.1, gt=0)
    hidden: int | None = Field(6, ge=1)
    ascent: bool = False

    @model_validator(mode="after")
    def _metric_is_smooth_and_goes_with_the_loss(self) -> "TanhFlow":
        if self.metric is not None:
            metric = get_output_metric(self.metric)
            metric.check(get_loss(self.loss))
            if metric.samples:
                raise ValueError(
                    f"metric={self.metric} draws samples anew at every point, so no flow has it; name another"
                )
        return self

    @property
    def sign(self) -> float:
        """1 where the path climbs, −1 where it falls."""
        return 1.0 if self.ascent else -1.0

    @property
    def seconds(self) -> float:
        """The path's time."""
        return 0.5 if self.ascent else 2.0

    def data(self) -> tuple[Any, Any]:
        """Inputs and targets, the same for every seed."""
        random = generator(0, "data")
        x = random.normal(size=(12, 3))
        return x, random.normal(size=(12, 2)) if self.loss == "squared_error" else random.integers(0, 2, 12)

    def field(self, backend: Backend) -> flow.Field:
        """The loss and the metric."""
        metric = None if self.metric is None else get_output_metric(self.metric)
        return flow.network_field(backend, self.network, self.loss, metric, self.mass, *self.data())

    @property
    def network(self) -> Any:
        """The network."""
        if self.hidden is None:
            return Linear(3, 2) >> Tanh()
        return Linear(3, self.hidden) >> Tanh() >> Linear(self.hidden, 2)

    def start(self, backend: Backend, seed: int) -> flow.Vector:
        """Weights that the seed draws."""
        return flow.flat(backend, self.network.init(backend, seed))

    def outputs(self, backend: Backend, w: flow.Vector) -> Any:
        """Outputs (12, 2) at weights w."""
        x, _ = self.data()
        outputs = self.network.apply(backend, flow.shaped(backend, self.network, w), backend.asarray(x))
        return backend.to_numpy(outputs)
