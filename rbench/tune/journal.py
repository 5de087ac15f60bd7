"""The journal of a tune: Optuna's storage in the run's directory, one entry a finished trial."""

from pathlib import Path
from typing import Any

from rbench.run import Record
from rbench.tune.plan import Search
from rbench.tune.points import Point, distributions


class Journal:
    """Finished trials by search, each an Optuna study; a trial is in it as a whole or not at all.

    Args:
        path: the file; made where it is not there.
    """

    def __init__(self, path: Path) -> None:
        import optuna
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = optuna.storages.JournalStorage(JournalFileBackend(str(path)))
        self._studies: dict[str, Any] = {}

    def seconds(self, search: Search) -> dict[str, float]:
        """Wall time of the finished trials of a search, by the keys of their cells."""
        attributes = [trial.user_attrs for trial in self._study(search).get_trials(deepcopy=False)]
        return {one["cell"]: one["seconds"] for one in attributes}

    def add(self, search: Search, point: Point, record: Record, score: float, seconds: float) -> None:
        """Note that a trial is finished.

        Args:
            search: what it belongs to.
            point: what it tried.
            record: what became of it.
            score: the smaller the better; infinite for a failure.
            seconds: wall time.
        """
        from optuna.trial import create_trial

        facts = {"cell": record.cell.key, "method": record.cell.method, "status": record.status, "seconds": seconds}
        self._study(search).add_trial(
            create_trial(params=point, distributions=distributions(search.space), value=score, user_attrs=facts)
        )

    def _study(self, search: Search) -> Any:
        import optuna

        if search.name not in self._studies:
            self._studies[search.name] = optuna.create_study(
                storage=self._storage, study_name=search.name, load_if_exists=True
            )
        return self._studies[search.name]
