"""Frames over TCP: a length, then so many bytes; one request at a time on each connection."""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from compbench.model.errors import UserError
from compbench.transport.exchange import Exchange

TIMEOUT_S = 30.0


class Frames:
    """Keeps so many connections; one that is lost is not opened again."""

    def __init__(self, address: tuple[str, int], size: int) -> None:
        self.on_room: Callable[[], None] = lambda: None
        self.idle: list[_Connection] = []
        self.waiting: deque[Exchange] = deque()
        self.connections: set[_Connection] = set()
        self._address, self._size = address, size

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            for _ in range(self._size):
                _, connection = await loop.create_connection(lambda: _Connection(self), *self._address)
                connection.free_at = time.monotonic()
                self.idle.append(connection)
        except OSError as error:
            raise UserError(f"{self._address}: can't be reached ({error.strerror})") from None

    def has_room(self) -> bool:
        return bool(self.idle)

    def submit(self, exchange: Exchange, /) -> None:
        if self.idle:
            self.idle.pop().send(exchange)
        elif self.connections:
            self.waiting.append(exchange)
        else:
            give_up(exchange, "every connection is lost")

    async def ask(self, payload: Any, /) -> Exchange:
        future: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self.submit(Exchange(-1, time.monotonic(), payload, future.set_result))
        return await future

    def expire(self) -> None:
        for connection in list(self.connections):
            if connection.exchange is not None and connection.exchange.sent_at < time.monotonic() - TIMEOUT_S:
                connection.drop(f"no response for {TIMEOUT_S:.0f} s")

    def close(self, problem: str = "the driver ended") -> None:
        while self.waiting:
            give_up(self.waiting.popleft(), problem)
        for connection in list(self.connections):
            connection.drop(problem)


class _Connection(asyncio.Protocol):
    def __init__(self, owner: Frames) -> None:
        self.exchange: Exchange | None = None
        self.free_at = 0.0
        self._owner = owner
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._owner.connections.add(self)

    def send(self, exchange: Exchange) -> None:
        self.exchange, exchange.free_at, exchange.sent_at = exchange, self.free_at, time.monotonic()
        self._transport.write(struct.pack("<I", len(exchange.payload)) + exchange.payload)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) < 5 or len(self._received) < 4 + struct.unpack_from("<I", self._received)[0]:
            return
        frame, self._received = self._received[4:], b""
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        exchange.done_at = self.free_at = time.monotonic()
        exchange.is_answered, exchange.ok, exchange.body = True, not frame[0], [frame[1:]]
        exchange.problem = "" if exchange.ok else "refused"
        if self._owner.waiting:
            self.send(self._owner.waiting.popleft())
        else:
            self._owner.idle.append(self)
        exchange.on_done(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.connections.discard(self)
        if self in self._owner.idle:
            self._owner.idle.remove(self)
        self._fail(f"connection lost: {exc or 'closed by the server'}")
        self._owner.on_room()

    def drop(self, problem: str) -> None:
        self._fail(problem)
        self._transport.abort()

    def _fail(self, problem: str) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            give_up(exchange, problem)


def give_up(exchange: Exchange, problem: str) -> None:
    """End an exchange that has no answer."""
    exchange.done_at, exchange.problem = time.monotonic(), problem
    exchange.on_done(exchange)
