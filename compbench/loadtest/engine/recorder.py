"""The three times of every operation, recorded in a histogram a second, so that memory stays bounded.

*Response time* runs from the moment a request was due, *service time* from when it was sent, and *driver lag* is by how
much the driver itself was late: sent, less the later of due and the moment that its connection came free. An operation
counts in the second in which it ended. Operations of the warm-up are counted, not timed.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.engine.histogram import Histogram, places_of
from compbench.transport.exchange import Exchange

# An operation a row: its number, the moments due, free, sent and done, and whether it failed.
Rows = NDArray[np.float64]

# The LDBC rule: an operation that is sent more than a second late is late.
LATE_S = 1.0
# So many operations are put into histograms at once, which takes a fraction of a millisecond, nearly as long as a few.
BATCH = 512
# So many different reasons for failures are told apart; the rest is counted together.
REASONS_LIMIT = 50
OTHER_REASONS = "other reasons"
# So many failures are told in full.
EXAMPLES = 10
NEVER_SENT = "never sent by the end"
_FIELDS = 6


class Times(NamedTuple):
    """The three times of a set of operations."""

    response: Histogram
    service: Histogram
    lag: Histogram


class Part:
    """One kind of operation: how many there were, and their times.

    `count` includes the `errors`, which failed, and the `never_sent`; neither of these includes the other.
    `late` were sent more than a second late by the driver.
    """

    __slots__ = ("count", "errors", "late", "never_sent", "times")

    def __init__(self) -> None:
        self.count = self.errors = self.never_sent = self.late = 0
        self.times = Times(Histogram(), Histogram(), Histogram())

    def add(self, other: Part) -> None:
        """Add the counts and times of another part, exactly."""
        self.count += other.count
        self.errors += other.errors
        self.never_sent += other.never_sent
        self.late += other.late
        for mine, others in zip(self.times, other.times, strict=True):
            mine.add(others)


class Interval:
    """The operations that ended within one second; `number` counts seconds from the start of measuring.

    `parts` are by number of the operation; `hosts` are all operations of each host together, where several send;
    `warm_up` and `warm_up_errors` count operations that are not measured; `last_s` is when the last measured one ended,
    in seconds from the start of measuring. `reasons` of failures may be those of a batch that is put into the next
    interval.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.parts: dict[int, Part] = {}
        self.hosts: dict[str, Part] = {}
        self.warm_up = self.warm_up_errors = 0
        self.last_s = 0.0
        self.reasons: Counter[str] = Counter()
        self.examples: list[tuple[int, str]] = []

    def part(self, operation: int) -> Part:
        """Return the part of an operation, made when it is first asked for."""
        return self.parts.setdefault(operation, Part())

    def of_host(self, name: str) -> Part:
        """Return the part of a host, made when it is first asked for."""
        return self.hosts.setdefault(name, Part())

    def add(self, other: Interval) -> None:
        """Add the operations of another process in the same second."""
        for operation, part in other.parts.items():
            self.part(operation).add(part)
        self.warm_up += other.warm_up
        self.warm_up_errors += other.warm_up_errors
        self.last_s = max(self.last_s, other.last_s)
        self.reasons.update(other.reasons)
        self.examples += other.examples

    def pooled(self) -> Part:
        """Return all operations together."""
        together = Part()
        for part in self.parts.values():
            together.add(part)
        return together


class Recorder:
    """Takes the operations of one process as they end; hands out each second's when it is over.

    Args:
        start_s: when the schedule starts; it and all moments are in `time.monotonic()`'s seconds.
        warm_up_s: operations due earlier after the start are not measured.
        on_interval: takes the intervals, in order and without a gap.
    """

    def __init__(self, start_s: float, warm_up_s: float, on_interval: Callable[[Interval], None]) -> None:
        self.ended = 0
        self._measured_from = start_s + warm_up_s
        self._on_interval = on_interval
        self._batch = array("d")
        self._reasons: set[str] = set()
        self._examples_left = EXAMPLES
        self._open = Interval(math.floor(-warm_up_s))

    def add(self, exchange: Exchange) -> None:
        """Note an operation that has ended."""
        self.ended += 1
        failed = not exchange.ok
        self._batch.extend(
            (exchange.operation, exchange.due_at, exchange.free_at, exchange.sent_at, exchange.done_at, failed)
        )
        if failed and exchange.due_at >= self._measured_from:
            self._explain(exchange)
        if len(self._batch) >= BATCH * _FIELDS:
            self._flush()

    def add_never_sent(self, operations: NDArray[np.int64], due: NDArray[np.float64], now: float) -> None:
        """Note operations that were due and not sent until `now`: each has waited at least so long for its answer."""
        self._flush()
        measured = due >= self._measured_from
        for operation in np.unique(operations[measured]).tolist():
            waited = now - due[measured & (operations == operation)]
            part = self._open.part(operation)
            part.count += len(waited)
            part.never_sent += len(waited)
            part.times.response.record(waited)
        self._open.reasons[NEVER_SENT] += int(measured.sum())

    def advance(self, now: float) -> None:
        """Hand out every second that is over."""
        self._flush()
        self._close_until(math.floor(now - self._measured_from))

    def finish(self) -> None:
        """Hand out the last second, over or not."""
        self._flush()
        self._close_until(self._open.number + 1)

    def _explain(self, exchange: Exchange) -> None:
        reason = exchange.problem
        if reason not in self._reasons and len(self._reasons) >= REASONS_LIMIT:
            reason = OTHER_REASONS
        self._reasons.add(reason)
        self._open.reasons[reason] += 1
        if self._examples_left:
            self._examples_left -= 1
            self._open.examples.append((exchange.operation, exchange.explain()))

    def _close_until(self, number: int) -> None:
        while self._open.number < number:
            closed, self._open = self._open, Interval(self._open.number + 1)
            self._on_interval(closed)

    def _flush(self) -> None:
        if not self._batch:
            return
        rows = np.array(self._batch).reshape(-1, _FIELDS)
        del self._batch[:]
        seconds = np.floor(rows[:, 4] - self._measured_from)
        if seconds.max() <= self._open.number:
            # All of them, or what ended just before its second was handed out and goes into the next one.
            self._put(rows)
            return
        seconds = np.maximum(seconds, self._open.number)
        for second in sorted(set(seconds.tolist())):
            self._close_until(int(second))
            self._put(rows[seconds == second])

    def _put(self, rows: Rows) -> None:
        measured = rows[:, 1] >= self._measured_from
        if not measured.all():
            self._open.warm_up += int((~measured).sum())
            self._open.warm_up_errors += int(rows[~measured, 5].sum())
            rows = rows[measured]
        if len(rows):
            self._open.last_s = max(self._open.last_s, float(rows[:, 4].max()) - self._measured_from)
            self._record(rows)

    def _record(self, rows: Rows) -> None:
        """Record measured operations: the places of all times at once, since most of what that takes is per call."""
        kinds, due, free, sent, done, failed = rows.T
        times = np.array((done - due, done - sent, sent - np.maximum(due, free)))
        was_sent, late = ~np.isnan(sent), times[2] > LATE_S
        times[1:, ~was_sent] = 0.0
        places = places_of(times)
        for operation in sorted(set(kinds.tolist())):
            chosen = kinds == operation
            part, and_sent = self._open.part(int(operation)), chosen & was_sent
            part.count += int(chosen.sum())
            part.errors += int(failed[chosen].sum())
            part.late += int(late[chosen].sum())
            part.times.response.count(places[0, chosen])
            part.times.service.count(places[1, and_sent])
            part.times.lag.count(places[2, and_sent])
