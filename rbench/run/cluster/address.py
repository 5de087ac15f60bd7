"""Checks of a scheduler's address: its form, its certificates, and that a scheduler answers."""

import asyncio
from typing import Any

from rbench.errors import RbenchError
from rbench.names import shown
from rbench.run.cluster.security import WAY_OUT, Certificates

ADDRESS = (
    "start one with `dask scheduler`, and give the address that it prints, such as tcp://10.0.0.1:8786, or "
    "tls://10.0.0.1:8786 of one with TLS, as `scheduler`"
)

SCHEMES = ("tcp", "tls")

LOADER = "distributed.client.security-loader"
"""Dask's setting for a function that finds certificates."""

GRACE_SECONDS = 1.0
"""Extra time in which Dask can say itself why it does not connect."""

LONGEST = 500
"""Most characters of a reason that a message shows."""


def unreachable(scheduler: str, why: object) -> RbenchError:
    """The error for an address where no scheduler can be reached."""
    words = " ".join(str(why).split())[:LONGEST]
    name = shown(scheduler).strip("'\"")
    return RbenchError(f"the scheduler {name} cannot be reached: {words}; {ADDRESS}")


def secured(scheduler: str, certificates: Certificates | None) -> Any:
    """Dask's security settings for a valid address; None for its own configuration.

    Raises:
        RbenchError: the address is invalid, or does not match the certificates.
    """
    from dask import config
    from distributed.comm import get_address_host_port
    from distributed.security import Security

    scheme = scheduler.partition("://")[0] if "://" in scheduler else "tcp"
    try:
        host, _ = get_address_host_port(scheduler) if scheme in SCHEMES else ("none", 0)
    except (ValueError, OSError) as error:
        raise unreachable(scheduler, error) from None
    if scheme not in SCHEMES or not host:
        raise unreachable(
            scheduler, "it names no machine" if scheme in SCHEMES else f"rbench does not speak {scheme}://"
        )
    if certificates is not None:
        if scheme != "tls":
            raise RbenchError(
                f"`scheduler` {scheduler} is without TLS, and `ca`, `cert` and `key` are for it; give the "
                f"tls:// address of the scheduler, or leave them out"
            )
        certificates.check()
        return certificates.security()
    own = Security()
    if scheme == "tls" and not (own.tls_ca_file and own.tls_client_cert) and not config.get(LOADER, None):
        raise RbenchError(f"`scheduler` {scheduler} needs certificates; {WAY_OUT}")
    return None


def check_answer(scheduler: str, security: Any, seconds: float) -> None:
    """Check that a scheduler answers: Dask's client would wait forever for a server that accepts and is silent.

    Args:
        scheduler: the address.
        security: what `secured` returned.
        seconds: how long there may be no answer.

    Raises:
        RbenchError: there is no scheduler.
    """
    from distributed.comm import connect
    from distributed.security import Security

    async def kind() -> str:
        settings = security or Security()
        comm = await connect(scheduler, timeout=seconds, **settings.get_connection_args("client"))
        try:
            await comm.write({"op": "identity", "reply": True})
            return str((await comm.read())["type"])
        finally:
            comm.abort()

    try:
        found = asyncio.run(asyncio.wait_for(kind(), seconds + GRACE_SECONDS))
    except TimeoutError as error:
        raise unreachable(scheduler, str(error) or f"it gives no answer within {seconds:g} s") from None
    except MemoryError:  # an absurd number of frames
        raise unreachable(scheduler, "what answers there is no scheduler of Dask's") from None
    except Exception as error:  # whatever answers there
        raise unreachable(scheduler, error or type(error).__name__) from None
    if found != "Scheduler":
        raise unreachable(scheduler, f"it is the address of a {found.lower()}")
