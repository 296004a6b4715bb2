"""HTTP/1.1, or another protocol, over a pool of keep-alive connections, one request at a time on each, clock in hand.

A general HTTP client costs a Python process about ten times as much a request (docs/driver.md has the
measurement), which on a small machine would be missing to the server under test. This one does only what a load
generator needs: it sends bytes that were built before, and hands back status, body and the moments that matter.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Any, Protocol

from compbench.model.errors import UserError
from compbench.transport.addresses import read_address
from compbench.transport.connection import KeptConnection
from compbench.transport.exchange import Exchange
from compbench.transport.http_connection import Connection
from compbench.transport.tls import encrypted, reason_of_tls, tls_context

REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
_PORTS = {"http": 80, "https": 443}


class Endpoint:
    """Where the server listens: the address to connect to, the Host header, and TLS if it is asked over that."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        """Read `http://host:port` or `https://host:port`.

        Args:
            url: the address.
            headers: of every request, as one with a key; they follow the Host header wherever that stands.

        Raises:
            UserError: it is another kind of URL.
        """
        found = read_address(url, _PORTS, "http://host:port")
        self.url, self.host, self.port = url, found.host, found.port
        self.host_header = "\r\n".join([found.netloc, *(f"{k}: {v}" for k, v in (headers or {}).items())]).encode()
        self.tls = tls_context() if found.scheme == "https" else None

    def get(self, target: bytes) -> bytes:
        """Return the bytes of a GET request."""
        return b"GET %b HTTP/1.1\r\nHost: %b\r\nAccept: application/json\r\n\r\n" % (target, self.host_header)

    def post(self, target: bytes, body: bytes) -> bytes:
        """Return the bytes of a POST request with a JSON body."""
        return self.request(b"POST", target, body)

    def request(self, method: bytes, target: bytes, body: bytes) -> bytes:
        """Return the bytes of a request of any method with a JSON body, which may be empty."""
        return (
            b"%b %b HTTP/1.1\r\nHost: %b\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (method, target, self.host_header, len(body), body)
        )


class Reachable(Protocol):
    """Where a pool connects to."""

    @property
    def url(self) -> str:
        """Return it as a person writes it."""

    @property
    def host(self) -> str:
        """Return the host's name or address."""

    @property
    def port(self) -> int:
        """Return the port."""

    @property
    def tls(self) -> SSLContext | None:
        """Return the rules by which the server proves who it is, None if it is asked in plain bytes."""


class Pool:
    """Keeps up to `size` connections; a request that finds none free waits its turn, first come first served.

    `on_room` is called when a connection was lost or opened, so that there may be room which no answer made.
    `connection` is the kind of connection, of another protocol perhaps.
    """

    def __init__(self, endpoint: Reachable, size: int, connection: type[KeptConnection] = Connection) -> None:
        self._loop = asyncio.get_running_loop()
        self._endpoint, self._kind = endpoint, encrypted(connection) if endpoint.tls else connection
        self._address = ("", 0)
        self._size = size
        self._connections: set[KeptConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._idle: list[KeptConnection] = []
        self._waiting: deque[Exchange] = deque()
        self.on_room: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Open every connection, so that none is opened while the clock runs.

        Raises:
            UserError: the server can't be reached.
        """
        url = self._endpoint.url
        try:
            found = await self._loop.getaddrinfo(self._endpoint.host, self._endpoint.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise UserError(f"{url}: unknown host ({error.strerror}): check --endpoint") from None
        problem: OSError = OSError("no address")
        for *_, address in found:
            self._address = (str(address[0]), int(address[1]))
            try:
                await self._connect()
                await asyncio.gather(*(self._connect() for _ in range(self._size - 1)))
            except OSError as error:
                problem = error
            else:
                return
        reason = reason_of_tls(problem) or problem.strerror or str(problem)
        mend = "is the server running there?"
        if problem.errno in (errno.EMFILE, errno.ENFILE):
            mend = f"allow more than the {self._size} files that the connections are (`ulimit -n`)"
        raise UserError(f"{url}: can't be reached ({reason}): {mend}") from None

    def has_room(self) -> bool:
        """Tell whether a connection is free, or can be opened, for one more request."""
        return bool(self._idle) or len(self._connections) + len(self._waiting) < self._size

    def submit(self, exchange: Exchange) -> None:
        """Send the request on a free connection, or as soon as one comes free."""
        if self._idle:
            self._idle.pop().send(exchange)
        else:
            self._waiting.append(exchange)
            self._grow()

    async def ask(self, payload: Any) -> Exchange:
        """Send one request outside of any schedule and wait for its outcome."""
        future: asyncio.Future[Exchange] = self._loop.create_future()
        self.submit(Exchange(-1, time.monotonic(), payload, future.set_result))
        while not future.done():
            await asyncio.wait([future], timeout=1)
            self.expire()
        return future.result()

    def expire(self) -> None:
        """Give up every request that was due longer ago than the timeout; to be called about once a second."""
        limit = time.monotonic() - REQUEST_TIMEOUT_S
        while self._waiting and self._waiting[0].due_at < limit:
            self._finish(self._waiting.popleft(), f"no connection for {REQUEST_TIMEOUT_S:.0f} s")
        for connection in list(self._connections):
            if connection.exchange is not None and connection.exchange.sent_at < limit:
                connection.give_up(f"no response for {REQUEST_TIMEOUT_S:.0f} s")

    def close(self, problem: str = "the driver ended") -> None:
        """Give up every request that is waiting or in flight, and close every connection."""
        self._size = 0
        for task in self._opening:
            task.cancel()
        while self._waiting:
            self._finish(self._waiting.popleft(), problem)
        for connection in list(self._connections):
            connection.give_up(problem)

    def released(self, connection: KeptConnection) -> None:
        """Take back a connection that is free; the longest waiting request gets it at once."""
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._idle.append(connection)

    def lost(self, connection: KeptConnection) -> None:
        """Forget a connection that is closed."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._grow()
        self.on_room()

    def _finish(self, exchange: Exchange, problem: str) -> None:
        exchange.done_at = time.monotonic()
        exchange.problem = problem
        exchange.on_done(exchange)

    def _grow(self) -> None:
        room = self._size - len(self._connections) - len(self._opening)
        if room > 0 and len(self._waiting) > len(self._opening):
            task = self._loop.create_task(self._reopen())
            self._opening.add(task)
            task.add_done_callback(self._reopened)

    def _reopened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._grow()
        self.on_room()

    async def _reopen(self) -> None:
        """Open a connection for the waiting requests; if that fails, the longest waiting one fails with the reason."""
        try:
            await self._connect()
        except OSError as error:
            if self._waiting:
                self._finish(self._waiting.popleft(), f"connection failed: {error.strerror or error}")

    async def _connect(self) -> None:
        host, port = self._address
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                connection = await self._connected(host, port)
        except TimeoutError:
            raise OSError(f"no connection within {CONNECT_TIMEOUT_S:.0f} s") from None
        self._connections.add(connection)
        connection.free_at = time.monotonic()
        self.released(connection)

    async def _connected(self, host: str, port: int) -> KeptConnection:
        tls = self._endpoint.tls
        how: dict[str, Any] = {"ssl": tls, "server_hostname": self._endpoint.host} if tls else {}
        return (await self._loop.create_connection(lambda: self._kind(self), host, port, **how))[1]
