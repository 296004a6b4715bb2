"""Confidence intervals of percentiles, by order statistics. Pure."""

from __future__ import annotations

import math

import numpy as np

from compbench.loadtest.engine.histogram import Histogram
from compbench.model.result import Intervals

CONFIDENCE = 0.95
METHOD = "order statistics (binomial), operations taken as independent"
PERCENTILES = {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0, "p999": 99.9}


def ranks(total: int, percentile: float, confidence: float = CONFIDENCE) -> tuple[int | None, int | None]:
    """Return which two of the `total` values in ascending order (from 1) hold the true percentile between them.

    How many of n independent values lie below the p-quantile is binomial (n, p), whatever their distribution. The
    interval from the j-th to the k-th smallest value holds the quantile with a probability of at least the confidence
    if at most half of the rest of the probability lies below j and half at or above k. None stands for a side that so
    few values can't bound.

    Source: J.-Y. Le Boudec, Performance Evaluation of Computer and Communication Systems (EPFL Press 2010), theorem
    2.1; G. Hahn and W. Meeker, Statistical Intervals (Wiley 1991), section 5.2. Operations that are slow together (a
    pause of the server) are not independent: the true interval is then wider.
    """
    if not total:
        return None, None
    first, cumulated = _binomial(total, percentile / 100)
    tail = (1 - confidence) / 2
    # P(below < j) <= tail, P(below >= k) <= tail.
    low = first + int(np.searchsorted(cumulated, tail, side="right"))
    high = first + int(np.searchsorted(cumulated, 1 - tail, side="left")) + 1
    return (low if low >= 1 else None), (high if high <= total else None)


def percentile_interval(histogram: Histogram, percentile: float) -> tuple[float | None, float | None]:
    """Return between which two times, in milliseconds, the percentile lies; None for a side without bound."""
    low, high = ranks(histogram.total, percentile)
    return (
        None if low is None else histogram.rank_ms(low)[0],
        None if high is None else histogram.rank_ms(high)[1],
    )


def percentile_intervals(histogram: Histogram) -> Intervals:
    """Return the interval of each percentile in milliseconds, with confidence and method."""
    intervals = {name: percentile_interval(histogram, percentile) for name, percentile in PERCENTILES.items()}
    return Intervals(confidence=CONFIDENCE, method=METHOD, **intervals)


def _binomial(n: int, p: float) -> tuple[int, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """Return P(B <= k) of B binomial (n, p) for k from the first number returned on, as far as it matters."""
    mean, deviation = n * p, math.sqrt(n * p * (1 - p))
    first, last = max(0, math.floor(mean - 10 * deviation) - 10), min(n, math.ceil(mean + 10 * deviation) + 10)
    k = np.arange(first + 1, last + 1, dtype=np.float64)
    # P(k) / P(k - 1) = (n - k + 1) / k * p / (1 - p); what lies outside of ten deviations is below rounding.
    logs = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k * (p / (1 - p))))])
    chances = np.exp(logs - logs.max())
    return first, np.cumsum(chances / chances.sum())
