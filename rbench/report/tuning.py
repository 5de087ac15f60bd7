"""What a reader must know of settings that `rbench tune` found: how they were searched, and what that cost."""

from collections.abc import Sequence

from rbench.report.table import significant
from rbench.run import Record, Tuned

FIGURES = {"accuracy": "accuracy", "squared_error": "squared error", "loss": "loss"}


def tuned_notes(records: Sequence[Record]) -> list[str]:
    """A sentence on each way of searching, with each method's space, failures, seconds and best figure."""
    groups: dict[str, list[Tuned]] = {}
    for record in records:
        if record.tuning is not None:
            same = groups.setdefault(_how(record.tuning), [])
            if record.tuning not in same:
                same.append(record.tuning)
    notes = [f"{how} {'; '.join(_what(one) for one in found)}." for how, found in groups.items()]
    tried = {(r.training.seed, seed) for r in records if r.tuning for seed in (r.tuning.seed, *r.tuning.confirming)}
    if seen := sorted(own for own, seed in tried if own == seed):
        notes.append(f"Seed {seen[0]} is also that of the trials.")
    return notes


def _how(tuned: Tuned) -> str:
    place = f"{tuned.backend} {tuned.dtype}" + (f" on {tuned.device}" if tuned.device else "")
    return (
        f"Tuned by rbench tune on {tuned.task}, trials a method: {tuned.trials}, the best {FIGURES[tuned.figure]} on a "
        f"validation split after {tuned.budget}, {place}, Sobol points and training with seed {tuned.seed}"
        f"{_again(tuned)}:"
    )


def _again(tuned: Tuned) -> str:
    """How the best of the trials were confirmed."""
    if not tuned.confirmed:
        return ""
    seeds = ", ".join(map(str, tuned.confirming))
    return f", the best {tuned.confirmed} run again on seeds {seeds} and chosen among by the mean"


def _what(tuned: Tuned) -> str:
    """One method's search."""
    space = ", ".join(f"{key} {words}" for key, words in tuned.space.items())
    failed = ", ".join(f"{count} {status}" for status, count in tuned.failures.items()) or "none failed"
    if tuned.score is None:
        reached = "nothing found"
    elif tuned.figure == "accuracy":
        reached = f"{100 * (1 - tuned.score):.2f} %"
    else:
        reached = significant(tuned.score)
    return f"{tuned.method} ({space}): {failed}, {significant(tuned.seconds)} s, {reached}"
