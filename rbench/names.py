"""Names and values in error messages: similar names are suggested, and long values are cut."""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 200
"""Characters of a value that a message shows."""


def unknown(kind: str, name: object, known: Iterable[str]) -> str:
    """The message for an unknown name of a kind such as `method`: a similar name if there is one, and all known."""
    names = list(known)
    return f"no {kind} is called {shown(name)}{did_you_mean(name, names)}; there are: {', '.join(names) or 'none'}"


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """` (did you mean 'digits'?)` if a known name is similar, in any case, or has its initials; else nothing."""
    by_letters = {_letters(one): one for one in known}
    came = _letters(str(name)[:LONGEST])
    initials = "".join(word[:1] for word in came.split("-"))  # such as lr of learning_rate
    several = len(initials) > 1 and initials in by_letters
    near = [initials] if several else get_close_matches(came, by_letters, n=1, cutoff=0.65)
    return f" (did you mean {by_letters[near[0]]!r}?)" if near else ""


def shown(value: object) -> str:
    """A value as Python writes it, cut where it is long."""
    try:
        text = repr(value)
    except Exception:  # an integer of thousands of digits, say
        text = f"a value of type {type(value).__name__} that cannot be written"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}… ({len(text):,} characters)"


def _letters(name: str) -> str:
    return name.casefold().replace("_", "-").replace(" ", "-")
