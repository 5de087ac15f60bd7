"""Which figures were made with one machine and software, and what tells the others apart.

Figures of two environments stand in rows of their own: no median, rank or profile is over both.
"""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

from rbench.run.provenance import EVERYWHERE
from rbench.run.record import Record

BEFORE_ENVIRONMENTS = ("rbench", "python", "cpu")
"""What of its provenance a record stands for that is older than environments; with its commit and libraries."""


class Environments(NamedTuple):
    """Several environments.

    Attributes:
        labels: of each thing that was made, the letter of its environment; None where all agree.
        words: by letter, what tells an environment from the others, such as `cpu Abacus, numpy 2.0`.
    """

    labels: list[str | None]
    words: dict[str, str]

    def beside(self, rows: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
        """The rows of all the things, each with its `environment` in words where these differ."""
        known = [{} if label is None else {"environment": self.words[label]} for label in self.labels]
        return [{**row, **own} for own, several in zip(known, rows, strict=True) for row in several]


def environment_notes(words: Mapping[str, str]) -> list[str]:
    """A sentence on what tells environments apart, given by letter; none where there is but one."""
    told = "; ".join(f"{label}: {own}" for label, own in words.items())
    return [f"Environments differ, and no figure is over two of them. {told}."] if told else []


def environments(records: Sequence[Record]) -> Environments:
    """The environments of records."""
    return told_apart([facts(one.environment, one.provenance, one.cell.backend) for one in records])


def told_apart(known: Sequence[Mapping[str, str]]) -> Environments:
    """The environments of things that were made, each with what it says of its own.

    Two things are of one environment where they agree in all that both say: a record of PyTorch says more than one of
    NumPy. What says nothing is taken for the first.
    """
    places: dict[tuple[tuple[str, str], ...], int] = {}
    found: list[dict[str, str]] = []
    keys = [tuple(sorted(one.items())) for one in known]
    for key, one in zip(keys, known, strict=True):
        if key not in places:
            same = (n for n, other in enumerate(found) if all(other.get(k, v) == v for k, v in one.items()))
            places[key] = next(same, len(found))
            if places[key] == len(found):
                found.append({})
            found[places[key]] |= one
    if len(found) < 2:
        return Environments([None] * len(known), {})
    names = dict.fromkeys(name for one in found for name in one)
    differ = [name for name in names if len({one[name] for one in found if name in one}) > 1]
    words = [", ".join(f"{name} {one[name]}" for name in differ if name in one) for one in found]
    labels = [letter(place) for place in range(len(found))]
    return Environments([labels[places[key]] for key in keys], dict(zip(labels, words, strict=True)))


def facts(environment: dict[str, str], provenance: dict[str, Any], backend: str) -> dict[str, str]:
    """What is known of an environment; where nothing was stored, as before there were any, by the provenance.

    Args:
        environment: what was stored.
        provenance: software and hardware.
        backend: SPEC of the backend, whose libraries count.
    """
    if environment:
        return environment
    found = {name: str(provenance[name]) for name in BEFORE_ENVIRONMENTS if provenance.get(name)}
    if isinstance(commit := provenance.get("commit"), dict):
        found["commit"] = f"{str(commit.get('id'))[:10]}{' with changes' if commit.get('dirty') else ''}"
    libraries, name = provenance.get("libraries"), backend.partition("[")[0]
    for library, version in libraries.items() if isinstance(libraries, dict) else ():
        if library in EVERYWHERE or library.startswith(name):
            found[library] = str(version)
    return found


def letter(place: int) -> str:
    """A to Z, then A2 and so on."""
    again, which = divmod(place, len(ascii_uppercase))
    return ascii_uppercase[which] + (str(again + 1) if again else "")
