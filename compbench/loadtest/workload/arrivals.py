"""When each request is due: a scenario's arrival pattern as a schedule, fixed before the first request is sent.

A schedule is a stream of chunks, each made when it is wanted, so that its length costs no memory; every process that
shares it makes the same chunks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compbench.loadtest.workload import streams
from compbench.model.scenario import Arrival, Constant, Exponential, PeriodicBurst, Poisson

Seconds = NDArray[np.float64]

# Requests of a chunk: making one takes some ten microseconds, which no request should wait for longer than.
CHUNK = 1024
# A count that is whole but for rounding must not add a request at the very end.
ROUNDING = 1e-9


class Schedule(NamedTuple):
    """When the requests of a run are due: those of the warm-up, then those that are measured, numbered through.

    The measured ones do not depend on the warm-up but for its length.
    """

    arrival: Arrival
    seed: int
    warm_up_s: float
    duration_s: float

    @property
    def end_s(self) -> float:
        """Return when it ends, in seconds from the start of the warm-up."""
        return self.warm_up_s + self.duration_s

    def chunks(self) -> Iterator[Seconds]:
        """Yield when requests are due, seconds from the start, ascending; up to 1024 in a chunk."""
        yield from due_times(self.arrival, self.warm_up_s, self.seed, streams.WARM_UP)
        for chunk in due_times(self.arrival, self.duration_s, self.seed, streams.ARRIVALS):
            yield self.warm_up_s + chunk

    def shard(self, number: int, shards: int) -> Iterator[tuple[int, float]]:
        """Yield index and due time of every `shards`-th request, beginning with number `number`."""
        first = 0
        for chunk in self.chunks():
            begin = (number - first) % shards
            yield from zip(range(first + begin, first + len(chunk), shards), chunk[begin::shards].tolist(), strict=True)
            first += len(chunk)

    def offered(self) -> tuple[int, list[int]]:
        """Return how many requests the warm-up has, and how many are measured in each second after it."""
        warm_up = sum(len(chunk) for chunk in due_times(self.arrival, self.warm_up_s, self.seed, streams.WARM_UP))
        seconds = np.zeros(max(1, int(np.ceil(self.duration_s))), np.int64)
        for chunk in due_times(self.arrival, self.duration_s, self.seed, streams.ARRIVALS):
            seconds += np.bincount(chunk.astype(np.int64), minlength=len(seconds))
        return warm_up, seconds.tolist()


def due_times(arrival: Arrival, duration_s: float, seed: int, purpose: int) -> Iterator[Seconds]:
    """Yield when each request is due, in seconds from the start, ascending, all below `duration_s`, in chunks.

    `constant` and `periodic_burst` are evenly spaced at the rate of the moment, the first request being due at 0;
    `poisson` and `exponential` draw independent exponential gaps from the seed's streams for the purpose.
    """
    match arrival:
        case Constant(rate=rate):
            return _evenly(np.array([0.0, duration_s]), np.array([0.0, rate * duration_s]))
        case Poisson(lambda_=rate) | Exponential(lambda_=rate):
            return _poisson(rate, duration_s, seed, purpose)
        case PeriodicBurst():
            return _evenly(*_burst_knots(arrival, duration_s))


def _evenly(times_s: Seconds, counts: Seconds) -> Iterator[Seconds]:
    """Invert the expected count over time, given at its knots: request i is due when i requests were expected."""
    total = int(np.ceil(counts[-1] - ROUNDING))
    for first in range(0, total, CHUNK):
        yield np.interp(np.arange(first, min(first + CHUNK, total)), counts, times_s)


def _poisson(rate: float, duration_s: float, seed: int, purpose: int) -> Iterator[Seconds]:
    last, number = 0.0, 0
    while last < duration_s:
        due = last + np.cumsum(streams.stream(seed, purpose, number).exponential(1 / rate, size=CHUNK))
        last, number = float(due[-1]), number + 1
        yield due[due < duration_s]


def _burst_knots(arrival: PeriodicBurst, duration_s: float) -> tuple[Seconds, Seconds]:
    """Return where the rate changes, and how many requests are expected by then; shape (knots,) each."""
    starts = np.arange(0, duration_s, arrival.burst_period_sec, dtype=np.float64)
    times_s = np.stack([starts, starts + arrival.burst_duration_sec], axis=1).ravel()
    times_s = np.minimum(np.append(times_s, duration_s), duration_s)
    rates = np.tile([arrival.burst_rate, arrival.base_rate], len(starts))
    return times_s, np.concatenate([[0.0], np.cumsum(np.diff(times_s) * rates)])
