"""TLS of a connection to a Dask scheduler: certificates are checked before anything starts."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rbench.errors import RbenchError

WAY_OUT = (
    "give `ca`, `cert` and `key`, or set them in Dask's configuration as distributed.comm.tls.ca-file, "
    "client.cert and client.key"
)


@dataclass(frozen=True)
class Certificates:
    """PEM files by which a scheduler and a client authenticate each other.

    Attributes:
        ca: certificates of the authority that has signed the scheduler's, the workers' and this one.
        cert: the client's certificate.
        key: its private key; None where the certificate's file holds it.
    """

    ca: Path
    cert: Path
    key: Path | None = None

    def check(self) -> None:
        """Raise where the files are unusable.

        Raises:
            RbenchError: one cannot be read, holds no certificate or no key, the key is not the certificate's or has a
                passphrase, or the authority has not signed the certificate, or it is not valid now.
        """
        for option, path in (("`ca`", self.ca), ("`cert`", self.cert), ("`key`", self.key or self.cert)):
            try:
                path.read_bytes()
            except (OSError, ValueError) as error:
                why = getattr(error, "strerror", None) or error
                raise RbenchError(f"{option} {str(path)!r} cannot be read: {why}; {WAY_OUT}") from None
        shown = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        shown.check_hostname = False
        shown.verify_mode = ssl.CERT_NONE
        asking = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        asking.verify_mode = ssl.CERT_REQUIRED
        try:
            asking.load_verify_locations(self.ca)
        except ssl.SSLError:
            raise RbenchError(f"`ca` {str(self.ca)!r} holds no certificate in PEM form; {WAY_OUT}") from None
        for context in (shown, asking):
            self._load(context)
        try:
            _shake_hands(shown, asking)
        except ssl.SSLCertVerificationError as error:
            raise RbenchError(
                f"`cert` {str(self.cert)!r} is not valid by `ca` {str(self.ca)!r}: {error.verify_message}; "
                "give the authority that has signed it, or have a new one signed"
            ) from None
        except ssl.SSLError as error:
            raise RbenchError(f"`cert` {str(self.cert)!r} cannot serve: {error.reason}; {WAY_OUT}") from None

    def security(self) -> Any:
        """Dask's settings, under which nothing goes over the network in plain text."""
        from distributed.security import Security

        names = {"tls_ca_file": self.ca, "tls_client_cert": self.cert, "tls_client_key": self.key}
        given = {name: str(path) for name, path in names.items() if path is not None}
        return Security(require_encryption=True, **given)

    def _load(self, context: ssl.SSLContext) -> None:
        try:
            context.load_cert_chain(self.cert, self.key, password=self._refuse_passphrase)
        except ssl.SSLError as error:
            key = f"`key` {str(self.key)!r}" if self.key else "its own key (there is no `key`)"
            if error.reason == "KEY_VALUES_MISMATCH":
                raise RbenchError(f"`cert` {str(self.cert)!r} does not belong to {key}; {WAY_OUT}") from None
            raise RbenchError(
                f"`cert` {str(self.cert)!r} and {key} are no certificate and private key in PEM form; {WAY_OUT}"
            ) from None

    def _refuse_passphrase(self) -> str:
        raise RbenchError(
            f"`key` {str(self.key or self.cert)!r} has a passphrase, which nobody is there to enter on workers; "
            "write it without: openssl rsa -in KEY -out NEW"
        )


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Have the server judge the client's certificate, as a scheduler will.

    Raises:
        ssl.SSLError: it is refused.
    """
    to_server = ssl.MemoryBIO()
    to_client = ssl.MemoryBIO()
    waiting = [client.wrap_bio(to_client, to_server), server.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(10):
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.remove(side)
            except ssl.SSLWantReadError:
                continue
        if not waiting:
            return
