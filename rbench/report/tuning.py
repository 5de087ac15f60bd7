"""Notes on settings that `rbench tune` found: how they were searched, and what that cost."""

from collections.abc import Sequence

from rbench.figures import significant
from rbench.run import Record, Tuned
from rbench.run.tuned import judged


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
    judged_by = tuned.figure.replace("_", " ")
    place = f"{tuned.backend} {tuned.dtype}" + (f" on {tuned.device}" if tuned.device else "")
    return (
        f"Tuned by rbench tune on {tuned.task}, {tuned.trials} trials per method, the best {judged_by} on a validation "
        f"split after {tuned.budget}, {place}, Sobol points and training with seed {tuned.seed}"
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
    else:
        figure = judged(tuned.figure)
        reached = f"{figure.unit.write(figure.minimised(tuned.score))} {figure.unit.symbol}".rstrip()
    return f"{tuned.method} ({space}): {failed}, {significant(tuned.seconds)} s, {reached}"
