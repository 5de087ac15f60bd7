"""The connection to a Dask scheduler."""

import importlib.util
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rbench.errors import RbenchError
from rbench.run.cluster.address import check_answer, secured, unreachable
from rbench.run.cluster.security import Certificates
from rbench.settings import at_level

CONNECT_SECONDS = 10.0
"""Longest time until a scheduler answers."""

QUIET = ("distributed", "distributed.client", "distributed.core", "distributed.comm.tcp")
"""Dask's logger, and those below it that may have their own levels."""


@contextmanager
def connected(scheduler: str, certificates: Certificates | None) -> Iterator[Any]:
    """A client of a scheduler, connected while the block runs.

    Raises:
        RbenchError: Dask is not installed, the address is invalid, certificates are missing or unusable, or no
            scheduler answers.
    """
    if importlib.util.find_spec("distributed") is None:
        raise RbenchError("a cluster needs the package 'distributed'; install it with: pip install 'rbench[dask]'")
    security = secured(scheduler, certificates)
    from distributed import Client

    with at_level(logging.CRITICAL, *map(logging.getLogger, QUIET)):  # the run itself says what goes wrong
        check_answer(scheduler, security, CONNECT_SECONDS)
        try:
            client = Client(  # type: ignore[no-untyped-call, unused-ignore]
                scheduler, timeout=CONNECT_SECONDS, set_as_default=False, security=security
            )
        except (OSError, ValueError) as error:
            raise unreachable(scheduler, error) from None
        try:
            yield client
        finally:
            client.close()  # type: ignore[no-untyped-call, unused-ignore]
