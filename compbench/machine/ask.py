"""One question to a server over HTTP, bounded: by a deadline for the whole exchange and by the size of the answer.

The timeout of requests is that of one read, so a server that trickles an answer could hold the caller up for ever; here
every read of the socket ends at the deadline. Redirects are not followed, proxies of the environment are not used, and
nothing is decompressed. A server in a network namespace of its own is asked by a child process that enters it: this
module run as a program, `python -m compbench.machine.ask URL TIMEOUT_S METHOD MOST_BYTES`, with the body on
standard input.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

MOST_BYTES = 1_000_000
_MOST_REASON_CHARACTERS = 200
_PIECE_BYTES = 65_536
# How long a child process may take to start, and to load what asks.
_CHILD_START_S = 10.0
_ENTRY: ContextVar[tuple[str, ...]] = ContextVar("entry", default=())
_SHORTEST_WAIT_S = 0.001  # a timeout of 0 would mean not to wait at all, and fail with another error


class AskError(Exception):
    """There is no whole answer within the bounds; the text says why, in one line."""


@dataclass(frozen=True)
class Answer:
    """A whole answer: HTTP's status, its body as it came, and what it says the time is (its header `Date`).

    Of an answer that a child process has fetched the date is not known: empty.
    """

    status: int
    body: bytes
    date: str = ""

    @property
    def is_ok(self) -> bool:
        """Tell whether the status says success."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def text(self) -> str:
        """Return the body as text; invalid UTF-8 becomes replacement characters."""
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


def ask(
    url: str,
    timeout_s: float,
    *,
    method: str = "GET",
    most_bytes: int = MOST_BYTES,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Answer:
    """Return a server's answer.

    Args:
        url: an `http://host:port/path`, or `https`, whose certificate is checked (SSL_CERT_FILE names authorities);
            each read of that ends at the timeout.
        timeout_s: how long the exchange may take, from connecting to the last byte.
        method: HTTP's method.
        most_bytes: how large the answer's body may be.
        headers: further ones, as one with a key.
        body: what is sent, as JSON; nothing is if it is empty.

    Raises:
        AskError: no whole answer came in time, it is larger, or it is compressed against the request's headers.
    """
    if entry := _ENTRY.get():
        return _ask_by_child([*entry, *_words(url, timeout_s, method, most_bytes)], timeout_s, body)
    import requests  # noqa: PLC0415 - costs 0.1 s, which most doit commands need not pay
    from urllib3.exceptions import HTTPError, ReadTimeoutError  # noqa: PLC0415 - see above

    sent = {**(headers or {}), "Connection": "close", "Accept-Encoding": "identity"}
    if body:
        sent["Content-Type"] = "application/json"
    try:
        with (
            _session(time.monotonic() + timeout_s) as session,
            session.request(
                method, url, data=body, headers=sent, timeout=timeout_s, stream=True, allow_redirects=False
            ) as response,
        ):
            return Answer(response.status_code, _body(response, most_bytes), response.headers.get("Date", ""))
    except (TimeoutError, requests.Timeout, ReadTimeoutError):
        raise AskError(f"no whole answer within {timeout_s:g} s") from None
    except (OSError, HTTPError, ValueError) as error:
        raise AskError(_reason(error)) from None


@contextlib.contextmanager
def asking_through(entry: Sequence[str]) -> Iterator[None]:
    """Ask by a child process behind these words meanwhile, if there are any."""
    token = _ENTRY.set(tuple(entry))
    try:
        yield
    finally:
        _ENTRY.reset(token)


def _words(url: str, timeout_s: float, method: str, most_bytes: int) -> list[str]:
    """Return the command line that asks; the body comes on standard input."""
    return [sys.executable, "-m", __spec__.name, url, repr(timeout_s), method, str(most_bytes)]


def _ask_by_child(argv: list[str], timeout_s: float, body: bytes) -> Answer:
    """Ask by a child process, which leaves status and body on its standard output, or a reason on the other one."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent.parent)}
    limit_s = timeout_s + _CHILD_START_S
    try:
        done = subprocess.run(
            argv,
            input=body,
            env=environment,
            capture_output=True,
            timeout=limit_s,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise AskError(f"no whole answer within {timeout_s:g} s") from None
    status, _, said = done.stdout.partition(b"\n")
    if done.returncode != 0 or not status.isdigit():
        raise AskError(" ".join(done.stderr.decode("utf-8", "replace").split())[:_MOST_REASON_CHARACTERS])
    return Answer(int(status), said)


def _session(deadline_s: float) -> requests.Session:
    """Return a session whose connections keep the deadline, and which ignores the environment."""
    import requests  # noqa: PLC0415 - see ask
    from requests.adapters import HTTPAdapter  # noqa: PLC0415 - see ask
    from urllib3.connection import HTTPConnection  # noqa: PLC0415 - see ask

    class Connection(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = _with_deadline(self.sock, deadline_s)

    class Adapter(HTTPAdapter):
        def get_connection_with_tls_context(self, *arguments: Any, **named: Any) -> Any:
            pool = super().get_connection_with_tls_context(*arguments, **named)
            pool.ConnectionCls = Connection  # type: ignore[attr-defined] # of every HTTP pool of urllib3
            return pool

    class Checked(HTTPAdapter):
        def init_poolmanager(self, *arguments: Any, **named: Any) -> Any:
            return super().init_poolmanager(
                *arguments, **named, ssl_context=_tls_rules(os.environ.get("SSL_CERT_FILE"))
            )

        def cert_verify(self, *_: Any) -> None:
            pass  # the context does it, with the machine's authorities instead of a package's

    session = requests.Session()
    session.trust_env = False  # a proxy of the environment must not stand between us and the server
    session.mount("http://", Adapter())
    session.mount("https://", Checked())
    return session


@cache
def _tls_rules(_authorities: str | None) -> ssl.SSLContext:
    """Return how a server proves who it is, which is kept: reading the machine's authorities takes some 17 ms.

    They are those of when it was first asked: a folder of them (SSL_CERT_DIR) that changes later changes nothing.
    """
    return ssl.create_default_context()


def _body(response: requests.Response, most_bytes: int) -> bytes:
    if (encoding := response.headers.get("Content-Encoding", "identity")) != "identity":
        raise AskError(f"the answer is compressed ({encoding[:20]}), though nobody asked for that")
    body = bytearray()
    for piece in response.raw.stream(_PIECE_BYTES, decode_content=False):
        body += piece
        if len(body) > most_bytes:
            raise AskError(f"the answer is larger than {most_bytes} bytes")
    return bytes(body)


def _with_deadline(plain: socket.socket, deadline_s: float) -> _Socket:
    connected = _Socket(plain.family, plain.type, plain.proto, fileno=plain.detach())
    connected.deadline_s = deadline_s
    connected.settimeout(max(deadline_s - time.monotonic(), _SHORTEST_WAIT_S))
    return connected


def _reason(error: BaseException) -> str:
    """Return what the innermost of the errors that were wrapped around each other says, in one line."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return " ".join(str(error).split())[:_MOST_REASON_CHARACTERS] or type(error).__name__


def main() -> None:
    """Ask once, as the command line says."""
    url, timeout_s, method, most_bytes = sys.argv[1:]
    body = sys.stdin.buffer.read()
    try:
        answer = ask(url, float(timeout_s), method=method, most_bytes=int(most_bytes), body=body)
    except AskError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    sys.stdout.buffer.write(b"%d\n%b" % (answer.status, answer.body))


if __name__ == "__main__":
    main()
