"""A request with its outcome, and the interface of every transport. Knows no protocol."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol


class Exchange:
    """One request and its outcome; moments are those of `time.monotonic()`, in seconds.

    `free_at` is when the connection that carried it came free; it and `sent_at` are NaN if the request was never sent.
    `is_answered` tells whether a response is complete, `ok` whether it also reports a success; where it is not `ok`,
    `problem` says why in a few words that are the same for every failure of that kind. `operation` is the caller's.
    """

    __slots__ = (
        "body",
        "done_at",
        "due_at",
        "free_at",
        "index",
        "is_answered",
        "ok",
        "on_done",
        "operation",
        "payload",
        "problem",
        "sent_at",
    )

    def __init__(
        self, index: int, due_at: float, payload: Any, on_done: Callable[[Exchange], None], operation: int = 0
    ) -> None:
        self.index, self.due_at, self.payload, self.on_done = index, due_at, payload, on_done
        self.operation = operation
        self.sent_at = self.free_at = self.done_at = math.nan
        self.is_answered = self.ok = False
        self.problem = ""
        self.body: list[bytes] = []

    def explain(self) -> str:
        """Return why it failed, in one line."""
        if not self.is_answered:
            return self.problem
        text = b"".join(self.body)[:200].decode("utf-8", "replace").replace("\n", " ")
        return f"{self.problem}: {text}"


class Transport(Protocol):
    """Connections to one server that carry requests; made in a running event loop.

    `on_room` is called when there may be room for one more request that no answer made.
    """

    on_room: Callable[[], None]

    async def open(self) -> None:
        """Open every connection.

        Raises:
            UserError: the server can't be reached.
        """

    def has_room(self) -> bool:
        """Tell whether one more request would be sent at once."""

    def submit(self, exchange: Exchange, /) -> None:
        """Send the request as soon as there is room; its `on_done` is called when it has ended, however."""

    async def ask(self, payload: Any, /) -> Exchange:
        """Send one request outside of any schedule and wait for its outcome."""

    def expire(self) -> None:
        """Give up requests that have waited too long; called about once a second."""

    def close(self, problem: str = ...) -> None:
        """Give up every request under way, and close every connection."""
