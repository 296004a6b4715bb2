"""The sums of a run, added up second by second: figures of each operation, and a time series. Knows no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from compbench.loadtest.engine.recorder import Interval, Part


class Second(NamedTuple):
    """The operations that ended in one second; times in milliseconds, None if nothing ended."""

    completed: int
    errors: int
    response_p50_ms: float | None
    response_p95_ms: float | None
    response_p99_ms: float | None
    response_max_ms: float | None
    lag_p99_ms: float | None


NOTHING = Second(0, 0, None, None, None, None, None)


class Totals:
    """All measured seconds of a run so far.

    `hosts` are all operations of each host together, where several send, and `host_series` its seconds. `last_s` is
    when the last operation ended, from the start of measuring; `carried` operations of the warm-up succeeded after that
    start.
    """

    def __init__(self) -> None:
        self.parts: dict[int, Part] = {}
        self.hosts: dict[str, Part] = {}
        self.host_series: dict[str, list[Second]] = {}
        self.series: list[Second] = []
        self.reasons: Counter[str] = Counter()
        self.last_s = 0.0
        self.completed = self.errors = self.warm_up = self.warm_up_errors = self.carried = 0

    def take(self, interval: Interval, pooled: Part) -> Iterator[None]:
        """Add a second, of which `pooled` are all operations together, in steps of a fraction of a millisecond each."""
        self.warm_up += interval.warm_up
        self.warm_up_errors += interval.warm_up_errors
        if interval.number < 0:
            return
        self.carried += interval.warm_up - interval.warm_up_errors
        failed = pooled.errors + pooled.never_sent
        self.completed += pooled.count - failed
        self.errors += failed
        self.reasons.update(interval.reasons)
        self.last_s = max(self.last_s, interval.last_s)
        for operation, part in interval.parts.items():
            self.parts.setdefault(operation, Part()).add(part)
            yield
        for host, part in interval.hosts.items():
            self.hosts.setdefault(host, Part()).add(part)
            own = self.host_series.setdefault(host, [])
            own += [NOTHING] * (len(self.series) - len(own))  # of the drain not all tell as many seconds
            own.append(second_of(part))
            yield
        self.series.append(second_of(pooled))

    @property
    def last(self) -> Second:
        """Return the newest second, one in which nothing ended if there is none."""
        return self.series[-1] if self.series else NOTHING

    @property
    def last_of_hosts(self) -> dict[str, Second]:
        """Return the newest second of each host that has told it."""
        number = len(self.series)
        return {host: own[-1] for host, own in self.host_series.items() if len(own) == number}

    def pooled(self) -> Part:
        """Return all operations together."""
        together = Part()
        for part in self.parts.values():
            together.add(part)
        return together


def columns_of(seconds: Sequence[Second], length: int) -> dict[str, list[Any]]:
    """Return a list for each figure, of so many seconds; in those that are missing nothing ended."""
    series = [*seconds, *[NOTHING] * (length - len(seconds))]
    return {name: [getattr(second, name) for second in series] for name in Second._fields}


def second_of(pooled: Part) -> Second:
    """Return the figures of a second's operations."""
    failed = pooled.errors + pooled.never_sent
    if not pooled.count:
        return NOTHING
    response, lag = pooled.times.response, pooled.times.lag
    p50, p95, p99 = response.percentiles_ms(50, 95, 99)
    return Second(
        completed=pooled.count - failed,
        errors=failed,
        response_p50_ms=p50,
        response_p95_ms=p95,
        response_p99_ms=p99,
        response_max_ms=response.max_ms,
        lag_p99_ms=lag.percentile_ms(99) if lag.total else None,
    )
