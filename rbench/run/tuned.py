"""Settings that `rbench tune` found, and the file that holds them."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from rbench.errors import DataError
from rbench.figures import TRAINING, Figure, judging
from rbench.run.reading import Count, DamagedError, NewerError, Real, parsed, read_bytes
from rbench.train.budget import Budget
from rbench.train.cell import configured

if TYPE_CHECKING:
    Judged: TypeAlias = str
else:
    Judged = Literal[tuple(figure.name.removeprefix("test_") for figure in judging(TRAINING))]
"""What trials are judged by: a test figure, taken on a validation split and so named without `test_`."""


def judged(name: Judged) -> Figure:
    """The figure of that name; a trial's score is its `Figure.minimised`."""
    return next(figure for figure in judging(TRAINING) if figure.name == f"test_{name}")


class Tuned(BaseModel):
    """What a search found for one method on one task.

    Attributes:
        task: canonical SPEC.
        method: canonical SPEC of the settings that were held, without the searched ones.
        settings: canonical SPEC of the choice; where nothing was found, of the best trial, or of the first.
        figure: the figure that judged, on a part of the training set held out from the trials.
        score: the settings' mean score over the seeds that they were tried on, less is better; None where nothing was
            found: all trials failed, or each confirmed one failed on some seed.
        trials: how many were run, failures included.
        confirmed: how many of the best trials were run again; the settings are those with the best mean.
        confirming: the seeds that they were run again on.
        failures: how many trials and confirmations did not end with a finite score, by status.
        seconds: wall time of all of them.
        space: what was searched, in words, by setting.
        seed: of the Sobol points and of every trial.
        budget: of every trial, which is evaluated at its end.
        backend: registered name.
        device: the backend's name of the device, or None for its default.
        dtype: the floating dtype.
        threads: of the numerical libraries.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    task: str
    method: str
    settings: str
    figure: Judged
    score: Real | None
    trials: Count
    confirmed: Count = 0
    confirming: tuple[Count, ...] = ()
    failures: dict[str, Count]
    seconds: Real
    space: dict[str, str]
    seed: Count
    budget: Budget
    backend: str
    device: str | None
    dtype: str
    threads: Count


class TunedFile(BaseModel):
    """The content of a file of `rbench tune`.

    Attributes:
        suite: name of the suite whose tasks were tuned.
        tuned: an entry for each method on each task.
        provenance: software and hardware.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    suite: str
    tuned: tuple[Tuned, ...]
    provenance: dict[str, Any] = {}

    def found(self, task: str) -> dict[str, Tuned]:
        """The searches on a task that found something, by their settings' SPEC."""
        return {one.settings: one for one in self.tuned if one.task == task and one.score is not None}

    def applied(self, task: str, methods: Iterable[str]) -> list[str]:
        """SPECs of methods, with the settings found for the task where there are any.

        They apply to a method that differs from the tuned one only in searched settings. Tuned methods that are not
        among the given ones come last.

        Args:
            task: canonical SPEC.
            methods: SPECs.
        """
        found = self.found(task)
        own = [method for spec in methods for method in configured("methods", spec)]
        specs = []
        for method in own:
            fits = [spec for spec, one in found.items() if method.spec_without(*one.space) == one.method]
            specs += fits or [method.spec]
        return list(dict.fromkeys([*specs, *found]))


def read_tuned(path: Path) -> TunedFile:
    """The settings of a file.

    Raises:
        DataError: it cannot be read, or `rbench tune` did not write it, or a newer version did.
    """
    way_out = "give the tuned.json of `rbench tune -o DIR`"
    try:
        return parsed(read_bytes(path), TunedFile, path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; {way_out}") from None
    except NewerError as error:
        raise NewerError(f"{error}; {way_out} of this version") from None
    except DamagedError:
        raise DamagedError(f"{path} holds no tuned settings; {way_out}") from None
