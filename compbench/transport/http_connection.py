"""One keep-alive connection and its request: reads the answer, and notes the moment of its end."""

from __future__ import annotations

import time
from typing import Any

import httptools

from compbench.transport.connection import MOST_ANSWER_BYTES, KeptConnection, Owner


class Connection(KeptConnection):
    """One keep-alive connection with at most one request on it."""

    def __init__(self, owner: Owner) -> None:
        super().__init__(owner)
        self._parser: Any = httptools.HttpResponseParser(self)

    def data_received(self, data: bytes) -> None:
        """Pass on what the server has sent to the parser."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.give_up(f"not an HTTP response: {error}")
        except httptools.HttpParserUpgrade:
            self.give_up("not an HTTP response: another protocol follows a 101")

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the answer; the parser calls this."""
        if self.exchange is None:
            return
        self._received_bytes += len(body)
        if self._received_bytes > MOST_ANSWER_BYTES:
            self.give_up(f"the answer is larger than {MOST_ANSWER_BYTES} bytes")
        else:
            self.exchange.body.append(body)

    def on_message_complete(self) -> None:
        """End the request; the parser calls this."""
        if self._parser.should_upgrade():
            return  # the parser raises, because what follows is no HTTP
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            self.close()
            return
        exchange.done_at = self.free_at = time.monotonic()
        status = self._parser.get_status_code()
        exchange.is_answered = True
        if 200 <= status < 300:  # noqa: PLR2004 - HTTP's range of successes
            exchange.ok = True
        else:
            exchange.problem = f"HTTP {status}"
        if self._parser.should_keep_alive():
            self._owner.released(self)
        else:
            self.close()
        exchange.on_done(exchange)
