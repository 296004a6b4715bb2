"""What one second of measuring was like, as the driver tells it once it is over; the runner passes it on as it is."""

from __future__ import annotations

import msgspec


class HostSecond(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of a second that one host has sent; times in milliseconds, None where nothing ended."""

    completed: int
    errors: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    lag_p99_ms: float | None = None


class MeasuredSecond(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The operations that ended in one second, which is counted from the start of measuring.

    Attributes:
        second: 0 is the first; those after the schedule's end are the drain's.
        offered: how many operations were due in it.
        completed: how many succeeded.
        errors: how many failed, or were never sent.
        p50_ms: response times, None where nothing ended.
        p95_ms: as above.
        p99_ms: as above.
        max_ms: as above.
        lag_p99_ms: by how much the driver itself was late.
        recall: the mean of the answers checked so far, for the eye; None: not known. The report's is of all kept ones.
        checked: how many answers these are.
        rate_ops_s: the rate that is tried, in a search for a capacity, whose trials each count their seconds from 0.
        hosts: each host's own part, where several send.
    """

    second: int
    offered: int
    completed: int
    errors: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None
    lag_p99_ms: float | None = None
    recall: float | None = None
    checked: int = 0
    rate_ops_s: float | None = None
    hosts: dict[str, HostSecond] = {}
