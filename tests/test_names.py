"""Error messages name what came and what is near it."""

import pytest

from rbench.errors import PluginError
from rbench.names import LONGEST, did_you_mean, shown, unknown
from rbench.plugins import plugins

KNOWN = ["digits", "mnist", "mnist-autoencoder", "two-spirals"]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("digit", "digits"),
        ("DIGITS", "digits"),
        ("mnsit", "mnist"),
        ("two_spirals", "two-spirals"),
        ("autoencoder", "mnist-autoencoder"),
    ],
)
def test_a_near_name_is_offered(name, near):
    assert did_you_mean(name, KNOWN) == (f" (did you mean {near!r}?)" if near else "")


@pytest.mark.parametrize("name", ["", "qwerty", 7, None, "x" * 10**6])
def test_a_name_that_is_near_nothing_is_met_with_all(name):
    message = unknown("task", name, KNOWN)
    assert message.endswith("; there are: digits, mnist, mnist-autoencoder, two-spirals")
    assert len(message) < 2 * LONGEST + 100


def test_control_characters_do_not_reach_the_message():
    assert shown("\x1b[31m") == r"'\x1b[31m'"


def test_a_registered_name_that_is_nearly_given_is_offered():
    with pytest.raises(PluginError, match=r"no method is called 'sgdd' \(did you mean 'sgd'\?\); there are: adam,"):
        plugins().find("methods", "sgdd")
