"""What connections of a pool have in common, whatever their protocol: one request at a time, sent and failed alike."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, Protocol

from compbench.transport.exchange import Exchange

# Far above any answer that is asked for, and little beside a machine's memory, though every connection may hold one.
MOST_ANSWER_BYTES = 16_000_000


class Owner(Protocol):
    """The pool that gives a connection its requests."""

    def released(self, connection: KeptConnection) -> None:
        """Take back a connection that is free."""

    def lost(self, connection: KeptConnection) -> None:
        """Forget a connection that is closed."""


class KeptConnection(asyncio.Protocol):
    """One connection with at most one request on it; who reads its answers is the protocol's own matter."""

    def __init__(self, owner: Owner) -> None:
        self.exchange: Exchange | None = None
        self.free_at = 0.0
        self._owner = owner
        self._received_bytes = 0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The event loop has connected it."""
        self._transport = transport
        self._file = transport.get_extra_info("socket").fileno()

    def send(self, exchange: Exchange) -> None:
        """Write the request at once: a transport may wait until the loop has dealt with what else has arrived."""
        self.exchange, self._received_bytes = exchange, 0
        exchange.free_at = self.free_at
        payload, exchange.payload = exchange.payload, b""
        exchange.sent_at = time.monotonic()
        if self._transport.is_closing():
            return  # `connection_lost` follows; the file's number may already be another's
        try:
            written = os.write(self._file, payload)
        except BlockingIOError:
            written = 0
        except OSError:
            return  # `connection_lost` follows, and says why
        if written < len(payload):
            self._transport.write(payload[written:])

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request in flight; the event loop calls this."""
        if self.exchange is not None:
            self._fail(f"connection lost: {exc or 'closed by the server'}")
        self._owner.lost(self)

    def give_up(self, problem: str) -> None:
        """Fail the request in flight and drop the connection, on which a late answer may still arrive."""
        self._fail(problem)
        self._transport.abort()

    def close(self) -> None:
        """Close the connection once everything is written."""
        self._transport.close()

    def _fail(self, problem: str) -> None:
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.done_at = time.monotonic()
            exchange.problem = problem
            exchange.on_done(exchange)
