"""Tasks: data, a network, a loss, a budget and a target."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from pydantic import PositiveInt

from rbench.backend import Backend
from rbench.errors import DataError, SpecError
from rbench.figures import TRAINING, judging
from rbench.losses import get_loss
from rbench.modules import Module, Params
from rbench.names import unknown
from rbench.spec import Configurable
from rbench.tasks.dataset import Dataset, checked

_JUDGING = {figure.name: figure for figure in judging(TRAINING)}

BatchSize: TypeAlias = PositiveInt | None
"""Data per batch; None for all training data."""


@dataclass(frozen=True)
class Target:
    """A figure to reach on the test set.

    Attributes:
        figure: name of a figure of evaluations that judges a task.
        value: what to reach: at least if higher is better, else at most.

    Raises:
        SpecError: no such figure judges a task.
    """

    figure: str
    value: float

    def __post_init__(self) -> None:
        """Check that the figure is one that judges a task."""
        if self.figure not in _JUDGING:
            raise SpecError(unknown("figure to reach", self.figure, _JUDGING))

    def reached(self, evaluation: dict[str, Any]) -> bool:
        """Whether an evaluation meets the target."""
        came = evaluation[self.figure]
        sign = _JUDGING[self.figure].sign
        return came is not None and bool(sign * came <= sign * self.value)


class Task(Configurable):
    """Data, a network and a loss; subclass it, set the class attributes, and register it with the `rbench_tasks` hook.

    Attributes:
        loss: name of the loss.
        epochs: default budget.
        target: default target, or None.
        published: whether it may read a published data set, for which `--unofficial-data` accepts another copy; False
            where data are made, or ship with a library.
        batch_size: data per batch, None for all training data (that `validation` leaves); the last, smaller batch of an
            epoch is left out.
        validation: train on five sixths of the training set and test on the rest, for tuning: the test set is not read.
    """

    loss: ClassVar[str]
    epochs: ClassVar[int]
    target: ClassVar[Target | None] = None
    published: ClassVar[bool] = True
    batch_size: BatchSize = 128
    validation: bool = False

    @abstractmethod
    def network(self) -> Module:
        """The network that is trained."""

    @abstractmethod
    def load(self, allow_unofficial: bool) -> Dataset:
        """Read or make the data.

        Args:
            allow_unofficial: take a local copy whose content is not the published one, and mark it so.

        Raises:
            DataError: absent and cannot be fetched, damaged, or not the official data.
        """

    def data_bytes(self) -> int | None:
        """Bytes that `load` holds at once, at least: the arrays that it returns, and those it makes them from.

        It is checked before `load` is called, so that data that do not fit are never made. None if unknown.
        """
        return None

    def initial(self, network: Module, backend: Backend, seed: int) -> Params:
        """The parameters that training starts from."""
        return network.init(backend, seed)

    def dataset(self, allow_unofficial: bool = False, dtype: str = "float64") -> Dataset:
        """The data, with the test set replaced by held-out training data where `validation` is set.

        Args:
            allow_unofficial: as for `load`.
            dtype: the dtype of the computation.

        Raises:
            DataError: as `load` does; or the data do not fit each other, the network, the loss or the dtype.
            SpecError: the batch size is more than the training data.
        """
        data = self.load(allow_unofficial)
        if not isinstance(data, Dataset):
            raise DataError(f"{self.spec}: its load returns {type(data).__name__}, not a Dataset")
        data = checked(data, self.spec, self.network(), get_loss(self.loss), dtype, validation=self.validation)
        if self.batch_size is not None and self.batch_size > len(data.x_train):
            left = " that validation leaves" if self.validation else ""
            raise SpecError(
                f"{self.name}: batch_size={self.batch_size} is more than the {len(data.x_train)} training data{left}; "
                "lower it, or write batch_size=none for all of them"
            )
        return data
