"""The journal of a tune: Optuna's storage in the run's directory, one entry per finished trial."""

import importlib.util
import os
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from rbench.errors import RbenchError
from rbench.methods import Choice, Dimension
from rbench.run.reading import Number, read_bytes, set_aside
from rbench.tune.plan import Search, Trial


def need_optuna() -> None:
    """Raise unless Optuna is installed.

    Raises:
        RbenchError: it is not; the message says how to install it.
    """
    if importlib.util.find_spec("optuna") is None:
        raise RbenchError("rbench tune needs Optuna; pip install 'rbench[tune]'")


class _Facts(BaseModel):
    """What an entry holds beside a trial's point and score."""

    cell: str
    method: str
    status: str
    seconds: Number


class Journal:
    """Finished trials, in one Optuna study per search; each is entered completely or not at all.

    A damaged journal, as after a full disk, is renamed to `NAME.damaged` with a warning, and the trials are entered
    again from their records. Nobody else may be writing into it: a lock that a killed process left is removed.

    Args:
        path: the file; made when it is needed.
        warn: called where it is damaged.
    """

    def __init__(self, path: Path, warn: Callable[[str], None]) -> None:
        self._path = path
        self._warn = warn
        self._studies: dict[str, Any] = {}

    @cached_property
    def _storage(self) -> Any:
        self._path.with_name(f"{self._path.name}.lock").unlink(missing_ok=True)
        try:
            return _opened(self._path)
        except Exception:  # Optuna does not check its content
            try:
                aside = set_aside(self._path)
            except OSError as error:
                raise self._unwritable(error) from None
            self._warn(f"{self._path} is damaged: it is now {aside.name}, and is made anew from the trials' records")
            return _opened(self._path)

    def seconds(self, search: Search) -> dict[str, float]:
        """Wall time of the finished trials of a search, by the keys of their cells."""
        attributes = [trial.user_attrs for trial in self._study(search).get_trials(deepcopy=False)]
        return {one["cell"]: one["seconds"] for one in attributes}

    def add(self, trial: Trial, status: str, score: float, seconds: float) -> None:
        """Note how a trial ended, and its wall time; less is better of scores, and a failure's is infinite.

        Raises:
            RbenchError: it cannot be written.
        """
        from optuna.trial import create_trial

        search, point, cell = trial
        facts = {"cell": cell.key, "method": cell.method, "status": status, "seconds": seconds}
        entry = create_trial(params=point, distributions=distributions(search.space), value=score, user_attrs=facts)
        try:
            self._study(search).add_trial(entry)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> RbenchError:
        return RbenchError(f"cannot write {self._path}: {error.strerror}; fix that and repeat the command")

    def _study(self, search: Search) -> Any:
        import optuna

        if search.name not in self._studies:
            self._studies[search.name] = optuna.create_study(
                storage=self._storage, study_name=search.name, load_if_exists=True
            )
        return self._studies[search.name]


def distributions(space: Mapping[str, Dimension]) -> dict[str, Any]:
    """A space in Optuna's terms; a choice is its index."""
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: IntDistribution(0, len(dimension.values) - 1)
        if isinstance(dimension, Choice)
        else FloatDistribution(dimension.low, dimension.high, log=True)
        for name, dimension in space.items()
    }


def _opened(path: Path) -> Any:
    """Optuna's storage on a journal.

    Raises:
        Exception: it is damaged.
    """
    import optuna
    from optuna.storages.journal import JournalFileBackend

    # Optuna accepts a partial last line, and would then append to it.
    for line in read_bytes(path).splitlines(keepends=True) if os.path.lexists(path) else ():
        from_json(line)
        if not line.endswith(b"\n"):
            raise ValueError(f"{path} ends within a line")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
    for study in storage.get_all_studies():
        for trial in storage.get_all_trials(study._study_id, deepcopy=False):
            _Facts.model_validate(trial.user_attrs, strict=True)
    return storage
