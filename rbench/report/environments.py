"""Which figures share a machine and software, and how the environments of others differ.

Figures of two environments are in separate rows: no median, rank or profile mixes them.
"""

from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import NamedTuple

from rbench.run.record import Record

IN_WORDS = ""
"""The fact of an environment that is known only from the words of a row, which are its value."""


class Environments(NamedTuple):
    """Several environments.

    Attributes:
        labels: the letter of each record's environment; None where all agree.
        words: by letter, how an environment differs from the others, such as `cpu Abacus, numpy 2.0`.
    """

    labels: list[str | None]
    words: dict[str, str]

    @property
    def fields(self) -> list[dict[str, str]]:
        """For each record its `environment` in words; nothing where all agree."""
        return [{} if label is None else {"environment": self.words[label]} for label in self.labels]


def environment_notes(words: Mapping[str, str]) -> list[str]:
    """A sentence on how environments differ, given by letter; none where there is only one."""
    known = "; ".join(f"{label}: {own}" for label, own in words.items())
    return [f"Environments differ, and no figure is over two of them. {known}."] if known else []


def environments(records: Sequence[Record]) -> Environments:
    """The environments of records."""
    return told_apart([one.environment for one in records])


def told_apart(known: Sequence[Mapping[str, str]]) -> Environments:
    """The environments of records, given the facts of each.

    Two records share an environment where they agree in all facts that both have: a record of PyTorch has more than one
    of NumPy. A record without facts gets the first environment.
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
    words = [", ".join(f"{name} {one[name]}".strip() for name in differ if name in one) for one in found]
    labels = [letter(place) for place in range(len(found))]
    return Environments([labels[places[key]] for key in keys], dict(zip(labels, words, strict=True)))


def letter(place: int) -> str:
    """A to Z, then A2 and so on."""
    again, which = divmod(place, len(ascii_uppercase))
    return ascii_uppercase[which] + (str(again + 1) if again else "")
