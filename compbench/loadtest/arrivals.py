"""When each request is due: a scenario's arrival pattern as a schedule, fixed before the first request is sent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compbench.errors import UserError
from compbench.scenarios import Arrival, Constant, Exponential, PeriodicBurst, Poisson, mean_rate

Seconds = NDArray[np.float64]

# Each operation takes some 50 bytes of records until the report is made: 50 million are 2.5 GB.
OPERATIONS_LIMIT = 50_000_000


def due_times(arrival: Arrival, duration_s: float, rng: np.random.Generator) -> Seconds:
    """Return when each request is due, in seconds from the start, ascending, all below `duration_s`.

    `constant` and `periodic_burst` are evenly spaced at the rate of the moment, the first request being due at 0;
    `poisson` and `exponential` draw independent exponential gaps.

    Raises:
        UserError: the schedule would hold more requests than one process can keep records of.
    """
    expected = mean_rate(arrival) * duration_s
    if expected > OPERATIONS_LIMIT:
        raise UserError(f"{expected:.0f} operations are more than {OPERATIONS_LIMIT}: lower --duration or the rate")
    match arrival:
        case Constant(rate=rate):
            return _evenly(np.array([0.0, duration_s]), np.array([0.0, rate * duration_s]))
        case Poisson(lambda_=rate) | Exponential(lambda_=rate):
            return _poisson(rate, duration_s, rng)
        case PeriodicBurst():
            return _evenly(*_burst_knots(arrival, duration_s))


def _evenly(times_s: Seconds, counts: Seconds) -> Seconds:
    """Invert the expected count over time, given at its knots: request i is due when i requests were expected."""
    # A count that is whole but for rounding must not add a request at the very end.
    requests = np.arange(np.ceil(counts[-1] - 1e-9))
    return np.interp(requests, counts, times_s)


def _poisson(rate: float, duration_s: float, rng: np.random.Generator) -> Seconds:
    due = np.empty(0)
    last = 0.0
    while last < duration_s:
        gaps = rng.exponential(1 / rate, size=max(16, int(rate * (duration_s - last) * 1.1)))
        due = np.concatenate([due, last + np.cumsum(gaps)])
        last = float(due[-1])
    return due[due < duration_s]


def _burst_knots(arrival: PeriodicBurst, duration_s: float) -> tuple[Seconds, Seconds]:
    """Return where the rate changes, and how many requests are expected by then; shape (knots,) each."""
    starts = np.arange(0, duration_s, arrival.burst_period_sec, dtype=np.float64)
    times_s = np.stack([starts, starts + arrival.burst_duration_sec], axis=1).ravel()
    times_s = np.minimum(np.append(times_s, duration_s), duration_s)
    rates = np.tile([arrival.burst_rate, arrival.base_rate], len(starts))
    return times_s, np.concatenate([[0.0], np.cumsum(np.diff(times_s) * rates)])
