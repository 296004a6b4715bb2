"""What a server tells of its own process in its metrics: a few lines of Prometheus' text format. Pure.

Read by hand, because four or five lines of numbers need no library: `prometheus-client` is part of the extra `report`,
and its parser makes objects of every line, of which some servers have tens of thousands. Strict: a name that stands
more than once, or a value that is no finite number, is not told.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

# By Prometheus' conventions ("Writing client libraries", process metrics), which the libraries of most languages keep.
STANDARD_NAMES: Mapping[str, str] = {
    "cpu_s": "process_cpu_seconds_total",
    "resident_bytes": "process_resident_memory_bytes",
    "virtual_bytes": "process_virtual_memory_bytes",
    "threads": "process_threads",
    "open_files": "process_open_fds",
}
_LINE = re.compile(r"^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{[^}]*\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t\r]*$", re.MULTILINE)


class ToldCounters(msgspec.Struct, frozen=True, kw_only=True):
    """A process as its metrics tell it, under the names of `ProcessCounters`; None is not told.

    `told_at_s` is when that was, in the middle between question and answer, on the clock of the one who asked; `by_own`
    are the fields that stood there under a system's own name.
    """

    told_at_s: float
    cpu_s: float | None = None
    resident_bytes: int | None = None
    virtual_bytes: int | None = None
    threads: int | None = None
    open_files: int | None = None
    by_own: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing of a process was found."""
        return all(getattr(self, field) is None for field in STANDARD_NAMES)


def read_told(text: str, told_at_s: float, own_names: Mapping[str, str] | None = None) -> ToldCounters:
    """Return what a page of metrics tells; `own_names` are a system's, by field, where it lacks the usual one."""
    values = _values(text, {*STANDARD_NAMES.values(), *(own_names or {}).values()})
    usual = {field: values.get(name) for field, name in STANDARD_NAMES.items()}
    own = {field: values.get(name) for field, name in (own_names or {}).items() if usual[field] is None}
    by_own = tuple(field for field, value in own.items() if value is not None)
    found = usual | own
    whole = {field: None if found[field] is None else int(found[field] or 0) for field in found if field != "cpu_s"}
    return ToldCounters(told_at_s=told_at_s, cpu_s=found["cpu_s"], by_own=by_own, **whole)


def _values(text: str, wanted: set[str]) -> dict[str, float | None]:
    """Return the value of each wanted name; None of one that is no such number, or stands there twice."""
    found: dict[str, float | None] = {}
    for name, said in _LINE.findall(text):
        if name in wanted:
            found[name] = None if name in found else _number(said)
    return found


def _number(said: str) -> float | None:
    try:
        value = float(said)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
