"""What readings of a server that the user runs, and of the way to it, mean before anything is measured. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from compbench.machine.probes.reach import Link, Obstacle
from compbench.model.records import Finding, Level
from compbench.preflight.findings import finding_of

# Lines of two logs that are to be set beside each other; the header itself has whole seconds.
MOST_APART_S = 3.0
# A link that is fuller than that makes packets wait, at the moments at which more than the mean is sent.
MOST_OF_LINK = 0.7
# A median connection above that share of a scenario's P99 leaves the server less than half of the time it is given.
MOST_OF_TARGET = 0.5
# An estimate: identifier, score and what is around them in a JSON answer.
ANSWER_BYTES_A_HIT, ANSWER_BYTES = 100, 300
_MEGABIT = 1e6
_BITS = 8


class Offer(NamedTuple):
    """What a scenario puts on the way: bytes a second there at its mean and its highest rate, and back at the latter.

    What comes back is estimated.
    """

    scenario: str
    mean_bytes_s: float
    peak_bytes_s: float
    back_bytes_s: float

    @property
    def most_bits_s(self) -> float:
        """Return the larger of both ways, which do not get into each other's."""
        return _BITS * max(self.peak_bytes_s, self.back_bytes_s)


def judge_obstacle(check: str, endpoint: str, host: str, system: str, obstacle: Obstacle) -> Finding:
    """Say where the way to the server ends."""
    if obstacle.step == "name":
        return finding_of(
            check, "endpoint-unresolved", "critical", endpoint=endpoint, host=host, why=obstacle.why, system=system
        )
    if obstacle.step == "port":
        return finding_of(
            check,
            "endpoint-unreached",
            "critical",
            endpoint=endpoint,
            host=host,
            port=obstacle.port,
            why=obstacle.why,
            system=system,
        )
    return finding_of(check, "endpoint-untrusted", "critical", endpoint=endpoint, why=obstacle.why)


def judge_clock(where: str, date: str, before_s: float, after_s: float) -> Finding:
    """Judge a server's clock by the header `Date` of an answer that came between two readings of ours (Unix seconds).

    The header has whole seconds, so that its clock stood from then on to a second later.
    """
    try:
        moment = parsedate_to_datetime(date)
        # Without a zone, or with the one of "-0000", it is UTC.
        told_s = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
    except (ValueError, OverflowError):
        return finding_of("clock", "not-judged", "ok", why=f"{where} tells no time of day")
    least_s, most_s = told_s - after_s, told_s + 1 - before_s
    if least_s <= 0 <= most_s:
        return finding_of("clock", "clock", "ok", where=where)
    off_s = least_s if least_s > 0 else -most_s
    level: Level = "warning" if off_s > MOST_APART_S else "ok"
    direction = "ahead of" if least_s > 0 else "behind"
    return finding_of("clock", "clock-off", level, where=where, off_s=off_s, direction=direction, most_s=MOST_APART_S)


def judge_round_trip(where: str, took_s: Sequence[float], tried: int, target: tuple[str, float] | None) -> Finding:
    """Judge connections to a server by how long they took.

    Args:
        where: host and port.
        took_s: of each that was made.
        tried: how many were tried.
        target: the scenario with the tightest P99, in ms; None if none has any.
    """
    if len(took_s) < tried:
        lost = tried - len(took_s)
        return finding_of("round_trip", "connections-lost", "warning", where=where, lost=lost, tried=tried)
    median_ms, worst_ms = 1000 * statistics.median(took_s), 1000 * max(took_s)
    if target is not None and median_ms > MOST_OF_TARGET * target[1]:
        return finding_of(
            "round_trip",
            "far-away",
            "warning",
            where=where,
            median_ms=median_ms,
            worst_ms=worst_ms,
            scenario=target[0],
            target_ms=target[1],
        )
    return finding_of(
        "round_trip", "round-trip", "ok", where=where, median_ms=median_ms, worst_ms=worst_ms, tried=tried
    )


def judge_bandwidth(offers: Sequence[Offer], link: Link | None) -> Finding:
    """Judge whether the way to a server carries the load of its most demanding scenario."""
    most = max(offers, key=lambda offer: offer.most_bits_s)
    needed = (
        f"{most.scenario} needs {_mbit(most.peak_bytes_s)} there and about {_mbit(most.back_bytes_s)} back at its"
        " highest rate"
    )
    if link is None or (link.bits_s is None and not link.is_loopback):
        interface = link.interface if link else "an interface that is not told"
        return finding_of("bandwidth", "bandwidth-unknown", "note", needed=needed, interface=interface)
    if link.is_loopback or link.bits_s is None:
        return finding_of("bandwidth", "bandwidth-loopback", "ok", needed=needed)
    share = most.most_bits_s / link.bits_s
    level: Level = "ok" if share <= MOST_OF_LINK else "warning"
    if _BITS * most.mean_bytes_s > link.bits_s:
        level = "critical"
    return finding_of(
        "bandwidth",
        "bandwidth",
        level,
        needed=needed,
        share_pct=100 * share,
        interface=link.interface,
        link_mbit=link.bits_s / _MEGABIT,
        most_pct=100 * MOST_OF_LINK,
    )


def _mbit(bytes_s: float) -> str:
    return f"{_BITS * bytes_s / _MEGABIT:.3g} Mbit/s"
