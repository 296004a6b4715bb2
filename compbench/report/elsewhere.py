"""A server that compbench did not start, in words: what can't be known of its machine, and the way to it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from compbench.model.metrics import P50, P99
from compbench.model.records import Capture
from compbench.model.result import Floor

# Of a machine that nobody here can look at.
NOT_KNOWN = "CPU, memory, disk, isolation, priority, limits, other load and what it was like before"
# What stands in the place of a fact of the server or its machine; never a blank, and no zero.
UNKNOWN_THERE = "not known: the server ran elsewhere"
_TOLD = {"cpu_pct": "CPU", "memory_bytes": "memory", "threads": "threads", "open_files": "open files"}
# So many measurements are named; the pages of each say the same of it.
_MOST_NAMED = 5


def passages(captures: Iterable[Capture]) -> list[str]:
    """Return for each system that ran elsewhere what is not known of it, and where what is known comes from."""
    of_system: dict[str, list[Capture]] = {}
    for capture in captures:
        if capture.system_facts.is_elsewhere:
            of_system.setdefault(capture.system, []).append(capture)
    return [_passage(measured) for measured in of_system.values()]


def _passage(measured: Sequence[Capture]) -> str:
    capture = measured[-1]
    server, title = capture.server, capture.system_facts.title or capture.system
    where = f", asked at {server.executable}" if server.executable else ""
    version = (
        "its version is not told" if server.version in ("", "not told") else f"it says that it is {server.version}"
    )
    return (
        f"{title} is a server that was there before{where}: compbench neither started nor stopped it; {version}. Not"
        f" known of its machine: {NOT_KNOWN}. {_metrics_of_all(measured)}. All other figures of a machine are"
        " of the driver's"
    )


def _metrics_of_all(measured: Sequence[Capture]) -> str:
    """Return which figures a server tells in a run, and of which of its measurements it told none."""
    telling = [one for one in measured if _tells(one)]
    silent = [one.measurement for one in measured if not _tells(one)]
    if not telling:
        return own_metrics(measured[-1])
    pooled = msgspec.structs.replace(telling[-1], samples=[sample for one in telling for sample in one.samples])
    named = ", ".join(silent[:_MOST_NAMED]) + (f" and {more} more" if (more := len(silent) - _MOST_NAMED) > 0 else "")
    return own_metrics(pooled) + (f"; nothing of it while these were measured: {named}" if silent else "")


def _tells(capture: Capture) -> bool:
    return any(getattr(sample, name) is not None for sample in capture.samples for name in _TOLD)


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
