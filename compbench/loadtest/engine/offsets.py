"""Whose clock says what: the offset of another host's monotonic clock, measured by an exchange of pings.

Each latency is told by one clock alone; offsets only let all hosts begin at the same moment. The answer to a ping was
given between its sending and its return, so that half the round trip bounds the error, whatever the two ways take each.
Of several pings the fastest says most. Method: F. Cristian, Probabilistic clock synchronization, Distributed Computing
3 (1989), 146-158.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

# So many make it likely that one of them met no queue.
PINGS = 15
# Beyond it a schedule that several hosts share is not the one that was asked for: at 1000 requests a second as many
# would be out of order.
UNCERTAINTY_LIMIT_MS = 20.0
PING = "ping"


class Ping(NamedTuple):
    """When it left and returned by this clock, and when it was answered by the other one; seconds."""

    sent_s: float
    answered_s: float
    returned_s: float


class ClockOffset(NamedTuple):
    """How far another clock is ahead of this one, give or take the uncertainty, and what a ping took at least."""

    offset_s: float
    uncertainty_ms: float
    round_trip_ms: float


def offset_of(pings: Sequence[Ping]) -> ClockOffset:
    """Return the offset that the fastest of the pings tells; there is at least one."""
    best = min(pings, key=lambda ping: ping.returned_s - ping.sent_s)
    round_trip_ms = 1000 * (best.returned_s - best.sent_s)
    return ClockOffset(best.answered_s - (best.sent_s + best.returned_s) / 2, round_trip_ms / 2, round_trip_ms)


def measure_offset(connection: Connection) -> ClockOffset:
    """Exchange pings with the other end, which answers each with its clock.

    Raises:
        EOFError, OSError: the other end is gone.
    """
    pings = []
    for _ in range(PINGS):
        sent_s = time.monotonic()
        connection.send(PING)
        answered_s = float(connection.recv())
        pings.append(Ping(sent_s, answered_s, time.monotonic()))
    return offset_of(pings)


def answer_pings(connection: Connection) -> Any:
    """Answer pings with this clock, and return the first word that is none.

    Raises:
        EOFError, OSError: the other end is gone.
    """
    while (word := connection.recv()) == PING:
        connection.send(time.monotonic())
    return word
