"""The timed part: send every request when it is due, even if earlier ones are unanswered.

A request that is due while every connection is busy waits for one, in the order of the schedule; it is made when the
one before it is sent, so that nothing but the next request is ever held. Once a second the last second's figures are
handed on, a little at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from compbench.loadtest.engine.clock import open_alarm
from compbench.loadtest.engine.offsets import ClockOffset
from compbench.loadtest.engine.recorder import Interval, Recorder
from compbench.transport.exchange import Exchange, Transport

# So long after the last due time a run waits for answers, and sends requests that still wait for a connection.
DRAIN_S = 3.0
NO_ANSWER = "no answer by the end"
NEVER_SENT_BATCH = 4096
# A timer of the event loop may be a millisecond early.
TICK_DELAY_S = 0.002


class RequestSource(Protocol):
    """The requests. They are numbered through from 0; each process that sends makes its own workload."""

    def build(self, index: int, /) -> Any:
        """Return request `index` as the transport takes it; asked in ascending order, before the request is due."""

    def operation(self, index: int, /) -> int:
        """Return what kind of operation request `index` is, as an index into the labels."""

    def keeps(self, index: int, /) -> bool:
        """Tell whether the answer to request `index` is wanted."""

    def answered(self, index: int, body: bytes, /) -> None:
        """Take a good answer that is wanted."""

    def digest(self) -> str:
        """Return the SHA-256, in hexadecimal, of every operation of the run with its parameters and vectors."""


class Ended(NamedTuple):
    """How a schedule was kept: requests sent, the most in flight at once, this process' use of a core meanwhile.

    `cpu_s` is the time of a core that it used from the start of measuring, after the warm-up, to the last answer.
    Where several hosts send, `sent_from` has their names, `hosts` says how each has kept its share, and `fault` which
    of them was lost or late.
    """

    sent: int
    in_flight_max: int
    cpu_pct: float
    cpu_s: float = 0.0
    hosts: tuple[HostShare, ...] = ()
    fault: str = ""
    sent_from: tuple[str, ...] = ()


class HostShare(NamedTuple):
    """How a host has kept its share: its processes together, and its clock beside that of the driver that gathers.

    `drift_ms` is by how much the offset has changed from the start to the end, None if that was not told.
    """

    name: str
    address: str
    cores: int
    processes: int
    cpu_pct: float
    cpu_s: float
    clock: ClockOffset
    drift_ms: float | None = None


class OpenLoop:
    """Sends a schedule over a transport.

    Args:
        transport: its connections are open.
        due: index and due time of each request, ascending, seconds from the start.
        workload: makes the requests, and says which answers are wanted.
        answered: takes index and body of a good answer that is wanted.
        start_s: when to start, in `time.monotonic()`'s seconds.
        warm_up_s: requests due earlier after the start are sent, not measured.
        end_s: when the schedule ends, seconds from the start.
        consume: takes each second's figures; its steps are done one by one, between sending and receiving.
        held: called once all is answered and measured, while the connections are still open.
    """

    def __init__(
        self,
        transport: Transport,
        due: Iterator[tuple[int, float]],
        workload: RequestSource,
        *,
        answered: Callable[[int, bytes], None],
        start_s: float,
        warm_up_s: float,
        end_s: float,
        consume: Callable[[Interval], Iterable[None]],
        held: Callable[[], None] = lambda: None,
    ) -> None:
        self._transport, self._schedule, self._workload = transport, due, workload
        self._answered, self._consume, self._held = answered, consume, held
        self._start, self._end = start_s, start_s + end_s
        self._warm_up_s = warm_up_s
        self._closed: deque[Interval] = deque()
        self._handing: Iterator[object] = iter(())
        self._recorder = Recorder(start_s, warm_up_s, self._closed.append)
        self._sent = self._in_flight_max = 0
        self._request: Any = None
        self._index, self._due_at, self._operation = -1, math.inf, 0
        self._armed = False
        self._cpu_measured_from = 0.0
        self._finished = asyncio.Event()
        self._error: BaseException | None = None

    async def run(self) -> Ended:
        """Send the schedule; end with it, or later when the last request is answered, or at the end of the drain."""
        asyncio.get_running_loop().set_exception_handler(self._failed)
        self._alarm = open_alarm(self._ring)
        self._transport.on_room = self._pump
        self._advance()
        self._cpu_measured_from = cpu = time.process_time()
        began = time.monotonic()
        self._pump()
        if self._due_at == math.inf:
            self._finished.set()
        watch = asyncio.create_task(self._watch())
        finished = asyncio.create_task(self._finished.wait())
        time_left_s = self._end + DRAIN_S - time.monotonic()
        await asyncio.wait([watch, finished], timeout=time_left_s, return_when=asyncio.FIRST_COMPLETED)
        cpu_now = time.process_time()
        cpu_pct = 100 * (cpu_now - cpu) / max(time.monotonic() - began, 1e-9)
        if self._error is None:
            # The watch ends before its time only if handing on the figures failed.
            await asyncio.wait([watch], timeout=max(0.0, self._end - time.monotonic()))
        finished.cancel()
        if watch.done():
            watch.result()
        watch.cancel()
        if self._error is not None:
            raise self._error
        # What is still under way would be given up later by this, and told as slower than it was.
        if self._due_at == math.inf and self._recorder.ended == self._sent:
            self._held()
        self._stop()
        return Ended(self._sent, self._in_flight_max, cpu_pct, cpu_now - self._cpu_measured_from)

    def _pump(self) -> None:
        """Send the next request if it is due and there is room for it, or see to it that this is called again.

        One at a time even if several are due, so that answers are read in between.
        """
        if self._due_at > time.monotonic():
            self._arm()
        elif self._transport.has_room():
            self._transport.submit(Exchange(self._index, self._due_at, self._request, self._done, self._operation))
            self._sent += 1
            self._in_flight_max = max(self._in_flight_max, self._sent - self._recorder.ended)
            self._advance()
            if self._due_at > time.monotonic() or self._transport.has_room():
                self._arm()

    def _arm(self) -> None:
        if not self._armed and self._due_at < math.inf:
            self._armed = True
            self._alarm.set(self._due_at)

    def _ring(self) -> None:
        self._armed = False
        self._pump()

    def _advance(self) -> None:
        """Make the next request."""
        self._index, due_s = next(self._schedule, (-1, math.inf))
        self._due_at = self._start + due_s
        if self._index >= 0:
            self._request = self._workload.build(self._index)
            self._operation = self._workload.operation(self._index)

    def _done(self, exchange: Exchange) -> None:
        self._recorder.add(exchange)
        if exchange.ok and self._workload.keeps(exchange.index):
            self._answered(exchange.index, b"".join(exchange.body))
        if self._due_at < math.inf:
            self._pump()
        elif self._recorder.ended == self._sent:
            self._finished.set()

    async def _watch(self) -> None:
        """Hand on each second when it is over, and give up requests that have waited too long."""
        measured_from = self._start + self._warm_up_s
        for second in itertools.count(math.floor(-self._warm_up_s) + 1):
            await asyncio.sleep(measured_from + second - time.monotonic() + TICK_DELAY_S)
            if second == 0:
                self._cpu_measured_from = time.process_time()
            self._transport.expire()
            self._recorder.advance(time.monotonic())
            await asyncio.sleep(0)
            while self._hand_on():
                await asyncio.sleep(0)

    def _hand_on(self) -> bool:
        """Do a step of handing on the figures; tell whether there was one."""
        while next(self._handing, self) is self:
            if not self._closed:
                return False
            self._handing = iter(self._consume(self._closed.popleft()))
        return True

    def _stop(self) -> None:
        """Note the requests that were not answered or not sent, and hand on the rest of the figures."""
        never_sent = (
            self._schedule
            if self._index < 0
            else itertools.chain([(self._index, self._due_at - self._start)], self._schedule)
        )
        self._due_at = math.inf
        self._alarm.close()
        self._transport.close(NO_ANSWER)
        now = time.monotonic()
        while batch := list(itertools.islice(never_sent, NEVER_SENT_BATCH)):
            operations = np.array([self._workload.operation(index) for index, _ in batch])
            self._recorder.add_never_sent(operations, self._start + np.array([due for _, due in batch]), now)
        self._recorder.finish()
        while self._hand_on():
            pass

    def _failed(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """End the run by an exception of a callback; the transport deals with those of the network."""
        error = context.get("exception")
        if error is not None and not isinstance(error, OSError):
            self._error = error
            self._finished.set()


@contextlib.contextmanager
def collector_off() -> Iterator[None]:
    """Collect garbage now, and not again before this ends: a collection would be a pause."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
