"""What `perf stat` has counted, read from its output: counts, and for each that is missing, why. Pure.

A count that perf could not make is never 0 here: not what it marks as such, and not the switches and migrations that it
counts as 0 for a user who may look at user space alone, since both happen in the kernel.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

EVENTS = ("cycles", "instructions", "context-switches", "cpu-migrations", "page-faults")
HARDWARE = ("cycles", "instructions")
# They happen in the kernel: counted in user space alone they are always 0, which is no count.
_KERNEL_ONLY = ("context-switches", "cpu-migrations")
_LINE = re.compile(r"(?P<value>[^;]*);[^;]*;(?P<event>[^;]+);(?P<runtime_ns>\d+);(?P<share_pct>[\d.]+)(?:;.*)?")
# `cycles`, `cycles:u`, and where cores differ `cpu_core/cycles/` or `cpu_atom/cycles/u`.
_EVENT = re.compile(r"(?:\w+/)?(?P<name>[\w-]+)(?:/(?P<old>\w*))?(?::(?P<modifier>\w+))?")
_WHOLE_PCT = 100.0
_NO_COUNTER = "the processor's counters are not given here, as in most virtual machines"
_NEVER_RAN = "perf saw no part of it run while it counted"
_USER_ALONE = "this user may count in user space alone, where there are none: see kernel.perf_event_paranoid"


class PerfCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What perf has counted, by event, and for each that it has not, why.

    `share_pct` is the part of the time in which the processor's counters could count, if others wanted them too; counts
    are scaled up by it. `is_user_only` tells that the processor's counters left the kernel out.
    """

    counts: dict[str, int] = {}
    why_not: dict[str, str] = {}
    share_pct: float | None = None
    is_user_only: bool = False


def none_counted(why: str) -> PerfCounts:
    """Return that nothing was counted, for one reason."""
    return PerfCounts(why_not=dict.fromkeys(EVENTS, why))


def parse_counts(text: str) -> PerfCounts:
    """Read what `perf stat -x ';'` has written, which has a line an event, or one for each kind of core."""
    found: dict[str, list[re.Match[str]]] = {}
    user_only: set[str] = set()
    for line in filter(None, map(_LINE.fullmatch, text.splitlines())):
        if (event := _EVENT.fullmatch(line["event"])) is None:
            continue
        found.setdefault(event["name"], []).append(line)
        if "u" in (event["modifier"] or event["old"] or ""):
            user_only.add(event["name"])
    counts, why_not, shares = {}, {}, []
    for name in EVENTS:
        known = [line for line in found.get(name, ()) if line["value"].isdigit()]
        if reason := _why_not(name, found.get(name, ()), known, is_user_only=name in user_only):
            why_not[name] = reason
            continue
        share_pct = min(_WHOLE_PCT, sum(float(line["share_pct"]) for line in known))
        is_shared = len(found[name]) == 1 and 0 < share_pct < _WHOLE_PCT
        total = sum(int(line["value"]) for line in known)
        counts[name] = round(total * _WHOLE_PCT / share_pct) if is_shared else total
        if name in HARDWARE:
            shares.append(share_pct)
    return PerfCounts(
        counts=counts,
        why_not=why_not,
        share_pct=min(shares, default=None),
        is_user_only=any(name in user_only for name in HARDWARE if name in counts),
    )


def _why_not(name: str, lines: Sequence[re.Match[str]], known: Sequence[re.Match[str]], *, is_user_only: bool) -> str:
    """Return why an event has no count, or an empty text."""
    if known:
        return _USER_ALONE if is_user_only and name in _KERNEL_ONLY else ""
    said = {line["value"] for line in lines}
    if "<not counted>" in said:
        return _NEVER_RAN
    if "<not supported>" in said:
        return _NO_COUNTER if name in HARDWARE else "perf says that it is not supported"
    return "perf told nothing of it"
