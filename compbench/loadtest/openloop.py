"""The timed part: send every request when it is due, whatever became of the ones before, and note three moments.

Runs on asyncio's own loop over `select`, because it is the one that waits with microseconds: epoll and libuv (uvloop)
wait whole milliseconds, which alone would make requests half a millisecond late. While it measures, the garbage
collector is off, nothing is recorded but times, and at most ten failures are printed.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import selectors
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.client import Exchange, Pool

T = TypeVar("T")
Seconds = NDArray[np.float64]

# So long after the last connection was opened the first request is due.
LEAD_S = 0.05
SWEEP_S = 1.0


class Times(NamedTuple):
    """What was noted of the requests, shape (requests,) each; seconds from the start of the schedule.

    `sent` and `free` (when the connection that carried the request came free) are NaN for one that was never sent.
    """

    due: Seconds
    sent: Seconds
    free: Seconds
    done: Seconds
    failed: NDArray[np.bool_]


class Timed(NamedTuple):
    """A finished schedule: its times, the most requests due and unanswered at once, CPU use of this process."""

    times: Times
    in_flight_max: int
    cpu_pct: float
    failures: Counter[str]


class Tally:
    """What the timed part counts while it goes on."""

    def __init__(self) -> None:
        self.submitted = self.completed = self.failed = self.in_flight_max = 0
        self.failures: Counter[str] = Counter()


class OpenLoop:
    """Sends `build(i)` at `due[i]` for every i.

    Args:
        pool: open connections.
        due: ascending, seconds from the start.
        build: makes the bytes of a request; called in order, each time before the request is due.
        answered: told of every exchange as it ends.
        tick: told about once a second, with the seconds since the start and the counts so far.
    """

    def __init__(
        self,
        pool: Pool,
        due: Seconds,
        build: Callable[[int], bytes],
        answered: Callable[[Exchange], None],
        tick: Callable[[float, Tally], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._pool, self._build, self._answered, self._tick = pool, build, answered, tick
        self._due = due
        nothing = np.full(len(due), np.nan)
        self._times = Times(due, nothing, nothing.copy(), nothing.copy(), np.zeros(len(due), bool))
        self._tally = Tally()
        self._start = 0.0
        self._next = b""
        self._finished = asyncio.Event()

    async def run(self) -> Timed:
        """Send the whole schedule and wait until every request is answered or given up."""
        if not len(self._due):
            self._finished.set()
        else:
            self._next = self._build(0)
        with _collector_off():
            cpu, began = time.process_time(), time.monotonic()
            self._start = self._loop.time() + LEAD_S
            if len(self._due):
                self._loop.call_at(self._start + self._due[0], self._send_next)
            sweep = self._loop.create_task(self._sweep())
            await self._finished.wait()
            cpu_pct = 100 * (time.process_time() - cpu) / max(time.monotonic() - began, 1e-9)
        sweep.cancel()
        return Timed(self._times, self._tally.in_flight_max, cpu_pct, self._tally.failures)

    def _send_next(self) -> None:
        """Send one request, set the clock for the next, and build it meanwhile.

        One at a time even if several are due, so that answers are read in between.
        """
        tally = self._tally
        index = tally.submitted
        tally.submitted = following = index + 1
        tally.in_flight_max = max(tally.in_flight_max, following - tally.completed)
        self._pool.submit(Exchange(index, self._start + self._due[index], self._next, self._done))
        if following < len(self._due):
            self._loop.call_at(self._start + self._due[following], self._send_next)
            self._next = self._build(following)

    def _done(self, exchange: Exchange) -> None:
        index, tally, times = exchange.index, self._tally, self._times
        times.sent[index] = exchange.sent_at - self._start
        times.free[index] = exchange.free_at - self._start
        times.done[index] = exchange.done_at - self._start
        tally.completed += 1
        if exchange.failed:
            times.failed[index] = True
            tally.failed += 1
            tally.failures[exchange.problem or f"HTTP {exchange.status}"] += 1
        self._answered(exchange)
        if tally.completed == len(self._due):
            self._finished.set()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._pool.expire()
            self._tick(self._loop.time() - self._start, self._tally)


def run_in_precise_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop whose timers are good to some ten microseconds, on Linux and macOS."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(main)


@contextlib.contextmanager
def _collector_off() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
