"""One question to a server over HTTP, bounded: by a deadline for the whole exchange and by the size of the answer.

A library's timeout is that of one read, so a server that trickles an answer could hold its asker up for ever. No
redirect is followed, no proxy of the environment is asked, and nothing is decompressed. Knows nothing of what is asked.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from http.client import HTTPResponse

MOST_BYTES = 1_000_000
_MOST_REASON_CHARACTERS = 200
_SHORTEST_WAIT_S = 0.001  # a timeout of 0 would mean not to wait at all, and fail with another error


class AskError(Exception):
    """There is no whole answer within the bounds; the text says why, in one line."""


@dataclass(frozen=True)
class Answer:
    """A whole answer: HTTP's status, and its body as it came."""

    status: int
    body: bytes

    @property
    def is_ok(self) -> bool:
        """Tell whether the status says success."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def text(self) -> str:
        """Return the body as text; bytes that are none are marked."""
        return self.body.decode("utf-8", "replace")


class _Socket(socket.socket):
    """A socket whose every read ends at the deadline of the exchange, in seconds of the monotonic clock."""

    deadline_s = 0.0

    def recv_into(self, *arguments: Any) -> int:
        left_s = self.deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self.settimeout(max(left_s, _SHORTEST_WAIT_S))
        return super().recv_into(*arguments)


def ask(url: str, timeout_s: float, *, method: str = "GET", most_bytes: int = MOST_BYTES) -> Answer:
    """Return a server's answer.

    Args:
        url: an `http://host:port/path`.
        timeout_s: how long the exchange may take, from connecting to the last byte.
        method: HTTP's method; no body is sent.
        most_bytes: how large the body may be.

    Raises:
        AskError: no whole answer came in time, it is larger, or it is compressed, which nobody has asked for.
    """
    import http.client  # noqa: PLC0415 - costs 0.02 s, which most doit commands need not pay

    parts, deadline_s = urlsplit(url), time.monotonic() + timeout_s
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port)
    path = parts._replace(scheme="", netloc="").geturl()
    try:
        with _connected(connection.host, connection.port, deadline_s) as connection.sock:
            connection.request(method, path, headers={"Connection": "close"})
            with connection.getresponse() as response:
                return Answer(response.status, _body(response, most_bytes))
    except TimeoutError:
        raise AskError(f"no whole answer within {timeout_s:g} s") from None
    except (OSError, http.client.HTTPException) as error:
        raise AskError(str(error).strip()[:_MOST_REASON_CHARACTERS] or type(error).__name__) from None


def _body(response: HTTPResponse, most_bytes: int) -> bytes:
    if (encoding := response.getheader("Content-Encoding", "identity")) != "identity":
        raise AskError(f"the answer is compressed ({encoding[:20]}), though nobody asked for that")
    body = response.read(most_bytes + 1)
    if len(body) > most_bytes:
        raise AskError(f"the answer is larger than {most_bytes} bytes")
    if response.length:
        raise AskError(f"the answer ended {response.length} bytes too early")
    return body


def _connected(host: str, port: int, deadline_s: float) -> _Socket:
    plain = socket.create_connection((host, port), timeout=max(deadline_s - time.monotonic(), _SHORTEST_WAIT_S))
    connected = _Socket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    connected.deadline_s = deadline_s
    connected.settimeout(max(deadline_s - time.monotonic(), _SHORTEST_WAIT_S))
    return connected
