"""Requests over TLS: the certificate is checked against the machine's authorities, or those of SSL_CERT_FILE.

Only servers that the user runs are asked so. The plain connection writes to its socket itself; here only the event
loop's transport can, which encrypts.
"""

from __future__ import annotations

import ssl
import time

from compbench.transport.connection import KeptConnection
from compbench.transport.exchange import Exchange


class _Encrypted(KeptConnection):
    """A connection whose bytes are encrypted; who reads its answers is the matter of the class beside it."""

    def send(self, exchange: Exchange) -> None:
        """Hand the request to the transport, which writes what the socket takes at once."""
        self.exchange, self._received_bytes = exchange, 0
        exchange.free_at = self.free_at
        payload, exchange.payload = exchange.payload, b""
        exchange.sent_at = time.monotonic()
        if not self._transport.is_closing():
            self._transport.write(payload)  # else `connection_lost` follows, and says why


def encrypted(connection: type[KeptConnection]) -> type[KeptConnection]:
    """Return the same kind of connection, with its bytes encrypted."""
    return type(f"Tls{connection.__name__}", (connection, _Encrypted), {})


def tls_context() -> ssl.SSLContext:
    """Return the rules by which a server proves who it is; SSL_CERT_FILE, if set, names further authorities."""
    return ssl.create_default_context()


def reason_of_tls(error: OSError) -> str:
    """Return why a certificate was not accepted, empty for any other error."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return ""
    return f"its certificate is not accepted: {error.verify_message}; SSL_CERT_FILE names further authorities"
