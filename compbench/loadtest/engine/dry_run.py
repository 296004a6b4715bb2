"""A schedule kept without a server, before the one that is measured: what runs for the first time takes longer.

numpy loads parts of itself when they are first asked for, and any code is slow until the processor has seen it.
Without this, when a batch of times was recorded for the first time, the next request was sent 7 ms late, and those
that were due meanwhile with it. Nothing is sent to a server here and nothing of it is kept, so that a server's own
first time is measured as it is; a warm-up is there for that.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from compbench.loadtest.engine.hlog import HdrLog
from compbench.loadtest.engine.openloop import OpenLoop
from compbench.loadtest.engine.recorder import BATCH, Interval
from compbench.loadtest.engine.totals import Totals
from compbench.transport.exchange import Exchange

# A whole batch of requests and the beginning of a second one, within a twentieth of a second.
_REQUESTS = BATCH + 100
_TAKES_S = 0.05
_FAILS_AT = 7


async def keep_dry_schedule() -> None:
    """Send, record and hand on some requests of nobody's, in the running event loop, and leave that as it was.

    To be called before a transport is open: it would be idle meanwhile, and what it has to say comes too early here.
    """
    totals, running = Totals(), asyncio.get_running_loop()
    handler = running.get_exception_handler()
    with HdrLog(Path(os.devnull), ("dry run",)) as hlog:
        hlog.start(0.0)

        def consume(interval: Interval) -> Iterator[None]:
            pooled = interval.pooled()
            yield
            yield from totals.take(interval, pooled)
            yield from hlog.take(interval, pooled)

        due = ((index, index * _TAKES_S / _REQUESTS) for index in range(_REQUESTS))
        loop = OpenLoop(
            _Echo(),
            due,
            _Nothing(),
            answered=lambda _index, _body: None,
            start_s=time.monotonic(),
            warm_up_s=0.0,
            end_s=_TAKES_S,
            consume=consume,
        )
        try:
            await loop.run()
        finally:
            running.set_exception_handler(handler)
    totals.pooled().times.lag.summary()


class _Nothing:
    """A workload of empty requests."""

    def build(self, _index: int) -> bytes:
        return b""

    def operation(self, _index: int) -> int:
        return 0

    def keeps(self, _index: int) -> bool:
        return True

    def answered(self, index: int, body: bytes) -> None:
        """Take nothing."""

    def digest(self) -> str:
        return ""


class _Echo:
    """A transport that answers each request the next time that the event loop comes round; one of them fails."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.on_room: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Open nothing."""

    def has_room(self) -> bool:
        return True

    def submit(self, exchange: Exchange) -> None:
        exchange.free_at = exchange.due_at
        exchange.sent_at = time.monotonic()
        self._loop.call_soon(self._answer, exchange)

    async def ask(self, payload: object) -> Exchange:
        raise NotImplementedError(payload)

    def expire(self) -> None:
        """Give up nothing."""

    def close(self, problem: str = "") -> None:
        """Close nothing."""

    def _answer(self, exchange: Exchange) -> None:
        exchange.done_at = time.monotonic()
        exchange.is_answered = True
        exchange.ok = exchange.index != _FAILS_AT
        exchange.on_done(exchange)
