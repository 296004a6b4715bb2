"""One connection that speaks RESP, the protocol of Redis, and its request; the clock is read at both ends.

The parser is hiredis'. What a request brings is kept as it came: its bytes are the exchange's body, which is taken
apart (`reply_in`) after measuring.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import hiredis

from compbench.transport.connection import MOST_ANSWER_BYTES, KeptConnection, Owner
from compbench.transport.exchange import Exchange

_NOTHING = object()


class Pipeline(NamedTuple):
    """Several commands that are sent at once and answered one by one; together they are one request."""

    commands: bytes
    replies: int


class NotRespError(Exception):
    """Bytes are no whole reply of RESP; the text says why."""


def command(*words: bytes | str | float) -> bytes:
    """Return the bytes of a command."""
    return bytes(hiredis.pack_command(words))  # type: ignore[arg-type] # its stub takes one word only


def reply_in(answer: bytes) -> Any:
    """Return the first reply in the bytes: numbers, bytes, lists of them, None, or a `hiredis.ReplyError`.

    Raises:
        NotRespError: they don't hold a whole one.
    """
    reader = hiredis.Reader(notEnoughData=_NOTHING)
    try:
        reader.feed(answer)
        reply = reader.gets()
    except hiredis.ProtocolError as error:
        raise NotRespError(str(error)) from None
    if reply is _NOTHING:
        raise NotRespError(f"{len(answer)} bytes, and no whole reply")
    return reply


class RespConnection(KeptConnection):
    """One connection with at most one request on it, as `http_connection.Connection` is."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._awaited, self._problem = 0, ""
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)

    def send(self, exchange: Exchange) -> None:
        """Write the request at once, all of its commands."""
        self._awaited, self._problem = 1, ""
        if type(exchange.payload) is Pipeline:
            exchange.payload, self._awaited = exchange.payload
        super().send(exchange)

    def data_received(self, data: bytes) -> None:
        """Keep a piece of the answer, and end the request with its last reply."""
        exchange = self.exchange
        if exchange is None:
            self.close()  # nothing was asked
            return
        self._received_bytes += len(data)
        if self._received_bytes > MOST_ANSWER_BYTES:
            self.give_up(f"the answer is larger than {MOST_ANSWER_BYTES} bytes")
            return
        exchange.body.append(data)
        try:
            self._reader.feed(data)
            while self._awaited and (reply := self._reader.gets()) is not _NOTHING:
                self._awaited -= 1
                self._problem = self._problem or _problem_in(reply)
        except hiredis.ProtocolError as error:
            self.give_up(f"not RESP: {error}")
            return
        if not self._awaited:
            self._end(exchange)

    def _end(self, exchange: Exchange) -> None:
        self.exchange = None
        exchange.done_at = self.free_at = time.monotonic()
        exchange.is_answered, exchange.ok, exchange.problem = True, not self._problem, self._problem
        self._owner.released(self)
        exchange.on_done(exchange)


def _problem_in(reply: Any) -> str:
    """Return the kind of an error, empty if there is none; one that came late ends a list that began well."""
    if isinstance(reply, list) and reply:
        reply = reply[-1]
    # The first word is the kind, the rest may differ for every request.
    return str(reply).split(" ", 1)[0] if isinstance(reply, hiredis.ReplyError) else ""
