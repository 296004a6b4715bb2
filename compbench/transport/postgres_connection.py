"""One connection to a PostgreSQL server and its request: writes messages, reads the answer up to its end.

What comes back is kept as it came and taken apart after measuring (`postgres_messages`); only the heads of messages
are looked at on the way, to know where the answer ends and whether it tells of an error.
"""

from __future__ import annotations

import struct
import time
from typing import Any, NamedTuple

from compbench.transport import postgres_messages
from compbench.transport.connection import MOST_ANSWER_BYTES, KeptConnection, Owner
from compbench.transport.exchange import Exchange

_LENGTH = struct.Struct(">I")
_HEAD_BYTES = 5


class Patient(NamedTuple):
    """A request that may take as long as it needs, as the one that builds an index."""

    messages: bytes


class PostgresConnection(KeptConnection):
    """One connection that has logged in, with at most one request on it."""

    def __init__(self, owner: Owner, opened: Any) -> None:
        """Take over from an asyncpg connection, which is kept, since it closes the socket when nobody has it."""
        super().__init__(owner)
        transport = opened._transport  # it has no public name
        self._opened, self._login = opened, transport.get_protocol()
        transport.set_protocol(self)
        self.connection_made(transport)
        self._head, self._to_skip = b"", 0
        self._is_ready = self._has_failed = False
        self.is_patient = False

    def send(self, exchange: Exchange) -> None:
        """Write the request at once."""
        self._is_ready = self._has_failed = False
        self.is_patient = type(exchange.payload) is Patient
        if self.is_patient:
            exchange.payload = exchange.payload.messages
        super().send(exchange)

    def data_received(self, data: bytes) -> None:
        """Keep a piece of the answer, and end the request when the server is ready for the next."""
        exchange = self.exchange
        self._pass_over(data)
        if exchange is None:
            return  # a notice or a new parameter, which nobody has asked for
        self._received_bytes += len(data)
        if self._received_bytes > MOST_ANSWER_BYTES:
            self.give_up(f"the answer is larger than {MOST_ANSWER_BYTES} bytes")
            return
        exchange.body.append(data)
        if self._is_ready and not self._to_skip and not self._head:
            self._end(exchange)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request in flight, and let go of the session."""
        self._login.connection_lost(exc)
        super().connection_lost(exc)

    def _pass_over(self, data: bytes) -> None:
        """Go from head to head, of which one may come in two pieces."""
        data = self._head + data if self._head else data
        at, end = self._to_skip, len(data)
        while at + _HEAD_BYTES <= end:
            kind = data[at]
            if kind == postgres_messages.READY:
                self._is_ready = True
            elif kind == postgres_messages.FAILED:
                self._has_failed = True
            at += 1 + _LENGTH.unpack_from(data, at + 1)[0]
        self._to_skip, self._head = max(0, at - end), data[at:]

    def _end(self, exchange: Exchange) -> None:
        self.exchange = None
        exchange.done_at = self.free_at = time.monotonic()
        exchange.is_answered, exchange.ok = True, not self._has_failed
        if self._has_failed:
            code, text = postgres_messages.error_in(b"".join(exchange.body))
            exchange.problem, exchange.body = f"SQLSTATE {code}", [text.encode()]
        self._owner.released(self)
        exchange.on_done(exchange)
