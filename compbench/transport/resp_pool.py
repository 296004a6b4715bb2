"""RESP over a pool of connections: that of `http_pool` with connections of another protocol."""

from __future__ import annotations

from urllib.parse import urlsplit

from compbench.model.errors import UserError
from compbench.transport.http_pool import Pool
from compbench.transport.resp_connection import RespConnection

_DEFAULT_PORT = 6379


class RespAddress:
    """Where a server that speaks RESP listens."""

    def __init__(self, url: str) -> None:
        """Read `redis://host:port`.

        Raises:
            UserError: it is another kind of URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORT
            (parts.hostname or "").encode("idna")  # what the look-up does, and not all of it as an OSError
        except ValueError:
            raise UserError(f"--endpoint {url!r}: expected redis://host:port") from None
        if parts.scheme != "redis" or not parts.hostname or parts.path not in {"", "/"} or "@" in parts.netloc:
            raise UserError(f"--endpoint {url!r}: expected redis://host:port")
        self.url, self.host, self.port = url, parts.hostname, port
        self.tls = None


def resp_pool(address: RespAddress, size: int) -> Pool:
    """Return a pool, not yet open, for the running event loop."""
    return Pool(address, size, RespConnection)
