"""Latency histograms in HdrHistogram's layout: 1 us to an hour at three significant digits.

The counts are a numpy array, so that a batch of values is recorded in microseconds and a second's histogram is no
pause; the `hdrhistogram` package writes and reads the V2 format. Two histograms add up exactly, count by count.
Layout: Gil Tene's HdrHistogram (https://hdrhistogram.github.io/HdrHistogram/): buckets of 2048 values, each bucket
twice as coarse as the one before and sharing its lower half.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from compbench.model.result import Summary

HOUR_US = 3_600_000_000
DIGITS = 3
_SUB_BUCKETS = 2048
_HALF = _SUB_BUCKETS // 2
_HALF_BITS = 10


def empty_hdr() -> HdrHistogram:
    """Return an empty histogram of the `hdrhistogram` package with this module's layout."""
    return HdrHistogram(1, HOUR_US, DIGITS)


_LENGTH = int(empty_hdr().counts_len)


def places_of(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return where times count; each is rounded up to whole microseconds and held within 0 and an hour."""
    micros = np.ceil(np.minimum(np.maximum(seconds * 1e6, 0), HOUR_US))
    # frexp's exponent is the value's number of bits.
    buckets = np.frexp(np.maximum(micros, _SUB_BUCKETS - 1))[1].astype(np.int64) - (_HALF_BITS + 1)
    subs = micros.astype(np.int64) >> buckets
    return ((buckets + 1) << _HALF_BITS) + subs - _HALF


class Histogram:
    """Counts of times; a value is known to one part in a thousand, and never shown as less than it was."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(_LENGTH, np.int64)

    @classmethod
    def decode(cls, text: str) -> Self:
        """Read what `encode` wrote."""
        made = cls()
        decoded = HdrHistogram.decode(text.encode("ascii"))
        made.counts[:] = np.ctypeslib.as_array(decoded.counts).astype(np.int64)
        return made

    @property
    def total(self) -> int:
        """Return how many values were recorded."""
        return int(self.counts.sum())

    def record(self, seconds: NDArray[np.float64]) -> None:
        """Record times; each is rounded up to whole microseconds and held within 0 and an hour."""
        self.count(places_of(seconds))

    def count(self, places: NDArray[np.int64]) -> None:
        """Count a value at each of these places of `counts`."""
        np.add.at(self.counts, places, 1)

    def add(self, other: Histogram) -> None:
        """Add the counts of another histogram."""
        self.counts += other.counts

    def percentile_ms(self, percentile: float) -> float:
        """Return the percentile as HdrHistogram defines it: the highest value of the bucket that holds its rank."""
        return self.percentiles_ms(percentile)[0]

    def percentiles_ms(self, *percentiles: float) -> list[float]:
        """Return several percentiles, at the cost of one: the counts are added up once."""
        cumulated = self.counts.cumsum()
        total = int(cumulated[-1])
        return [_rank_ms(cumulated, max(1, int(percent * total / 100 + 0.5)))[1] for percent in percentiles]

    def rank_ms(self, rank: int) -> tuple[float, float]:
        """Return between which two values the `rank`-th smallest time (from 1) lies; 0 and 0 if nothing is recorded."""
        return _rank_ms(self.counts.cumsum(), rank)

    @property
    def max_ms(self) -> float:
        """Return the highest time, 0 if nothing is recorded."""
        filled = np.flatnonzero(self.counts)
        return _bounds_ms(int(filled[-1]))[1] if len(filled) else 0.0

    @property
    def mean_ms(self) -> float:
        """Return the mean of the buckets' middles, 0 if nothing is recorded."""
        filled = np.flatnonzero(self.counts)
        if not len(filled):
            return 0.0
        middles = [sum(_bounds_ms(index)) / 2 for index in filled.tolist()]
        return float(np.average(middles, weights=self.counts[filled]))

    def summary(self) -> Summary:
        """Return the figures that reports show."""
        p50, p90, p95, p99, p999 = self.percentiles_ms(50, 90, 95, 99, 99.9)
        return Summary(self.total, p50, p90, p95, p99, p999, self.max_ms, self.mean_ms)

    def encode(self) -> str:
        """Return the histogram in HdrHistogram's V2 format, compressed, as base64."""
        return str(self.to_hdr().encode().decode("ascii"))

    def to_hdr(self) -> HdrHistogram:
        """Return the same histogram as an object of the `hdrhistogram` package."""
        histogram = empty_hdr()
        np.ctypeslib.as_array(histogram.counts)[:] = self.counts
        filled = np.flatnonzero(self.counts)
        if len(filled):
            histogram.set_internal_tacking_values(int(filled[0]), int(filled[-1]), self.total)
        return histogram

    def __getstate__(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the counts that are not 0 with their places, as they are sent from one process to another."""
        filled = np.flatnonzero(self.counts)
        return filled, self.counts[filled]

    def __setstate__(self, state: tuple[NDArray[np.int64], NDArray[np.int64]]) -> None:
        self.counts = np.zeros(_LENGTH, np.int64)
        self.counts[state[0]] = state[1]


def _rank_ms(cumulated: NDArray[np.int64], rank: int) -> tuple[float, float]:
    if not cumulated[-1]:
        return 0.0, 0.0
    return _bounds_ms(int(np.searchsorted(cumulated, min(rank, int(cumulated[-1])))))


def _bounds_ms(index: int) -> tuple[float, float]:
    """Return the lowest and the highest time that count at this place."""
    bucket = max(0, (index >> _HALF_BITS) - 1)
    sub = (index & (_HALF - 1)) + (_HALF if index >= _HALF else 0)
    return (sub << bucket) / 1000, (((sub + 1) << bucket) - 1) / 1000
