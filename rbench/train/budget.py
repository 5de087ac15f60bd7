"""The budget of a training run: how long it trains, and how often it is evaluated."""

from typing import Any

from pydantic import Field

from rbench.checked import Checked
from rbench.errors import SpecError

MOST_EVALUATIONS = 100_000
"""Most evaluations of a run: each is a row of its record."""


class Budget(Checked):
    """How long to train, and how often to evaluate: exactly one of the first three is set.

    Attributes:
        epochs: passes over the training set.
        steps: updates.
        seconds: training time, which counts steps only.
        evaluations: how often a run is evaluated, evenly up to its end; None: also at the start, at the ends of epochs
            unless there are more than `MOST_EVALUATIONS`, and at least ten times.
    """

    epochs: int | None = Field(None, ge=1, lt=2**63)
    steps: int | None = Field(None, ge=1, lt=2**63)
    seconds: float | None = Field(None, gt=0, allow_inf_nan=False)
    evaluations: int | None = Field(None, ge=1, le=MOST_EVALUATIONS)

    def __str__(self) -> str:
        """Such as `3 epochs` or `3 epochs, 1 evaluations`."""
        given = self.model_dump(exclude_none=True).items()
        return ", ".join(f"{str(value).removesuffix('.0')} {name}" for name, value in given)

    def model_post_init(self, context: Any) -> None:
        """Check that exactly one length is set."""
        if sum(value is not None for value in (self.epochs, self.steps, self.seconds)) != 1:
            raise SpecError("give one budget: `epochs`, `steps` or `seconds`")

    @property
    def length(self) -> "Budget":
        """How long to train, without the number of evaluations."""
        return self.evaluated(None)

    def evaluated(self, times: int | None) -> "Budget":
        """The same length with another number of evaluations."""
        return self.model_copy(update={"evaluations": times})
