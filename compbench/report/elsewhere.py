"""A server that compbench did not start, in words: what can't be known of its machine, and the way to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from compbench.model.metrics import P50, P99
from compbench.model.records import Capture
from compbench.model.result import Floor

# Of a machine that nobody here can look at.
NOT_KNOWN = "CPU, memory, disk, isolation, priority, limits, other load and what it was like before"
# What stands in the place of a fact of the server or its machine; never a blank, and no zero.
UNKNOWN_THERE = "not known: the server ran elsewhere"
_TOLD = {"cpu_pct": "CPU", "memory_bytes": "memory", "threads": "threads", "open_files": "open files"}


def passages(captures: Iterable[Capture]) -> list[str]:
    """Return for each system that ran elsewhere what is not known of it, and where what is known comes from."""
    last = {capture.system: capture for capture in captures if capture.system_facts.is_elsewhere}
    return [_passage(capture) for capture in last.values()]


def _passage(capture: Capture) -> str:
    server, title = capture.server, capture.system_facts.title or capture.system
    where = f", asked at {server.executable}" if server.executable else ""
    version = (
        "its version is not told" if server.version in ("", "not told") else f"it says that it is {server.version}"
    )
    return (
        f"{title} is a server that was there before{where}: compbench neither started nor stopped it; {version}. Not"
        f" known of its machine: {NOT_KNOWN}. {own_metrics(capture)}. All other figures of a machine are of the"
        " driver's"
    )


def own_metrics(capture: Capture) -> str:
    """Return which figures in the samples the server itself tells."""
    server = capture.server
    if not server.metrics_from:
        return f"It tells no figures of its process ({server.metrics_problem or 'it was not asked'})"
    told = [word for name, word in _TOLD.items() if any(getattr(s, name) is not None for s in capture.samples)]
    lacking = [word for word in _TOLD.values() if word not in told]
    lacks = f", not its {' and '.join(lacking)}" if told and lacking else ""
    words = ", ".join(told) or "nothing while it was measured"
    remark = f"; {server.metrics_remark}" if server.metrics_remark else ""
    return f"Of its process it tells {words}{lacks} ({server.metrics_from}{remark})"


def floor_of(capture: Capture) -> Floor | None:
    """Return what the smallest request took after a measured load, None if that is not known."""
    details = capture.result.details if capture.result else None
    return details.floor if details else None


def round_trip_told(capture: Capture) -> str:
    """Return what an empty request took, beside the latencies of a server that ran elsewhere; empty for others."""
    if not capture.system_facts.is_elsewhere or capture.result is None:
        return ""
    floor = floor_of(capture)
    if floor is None:
        details = capture.result.details
        why = (details.floor_missing if details else "") or "not recorded"
        return f"round trip of an empty request not known: {why}"
    told = f"{P50.in_words(floor.p50_ms)}, {P99.in_words(floor.p99_ms)}"
    return f"round trip of an empty request {told} (of {floor.count})"


def whose_machine(capture: Capture) -> str:
    """Return the words before the name of a reading of this machine, empty where it is the server's as well."""
    return "driver's machine: " if capture.system_facts.is_elsewhere else ""
