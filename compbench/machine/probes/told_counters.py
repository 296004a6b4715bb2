"""What a server tells of its own process in its metrics: a few lines of Prometheus' text format. Pure.

Read by hand, because four or five lines of numbers need no library: `prometheus-client` is part of the extra `report`,
and its parser makes objects of every line, of which some servers have tens of thousands. Only the lines of the wanted
names are looked at, each by itself: whatever a page has, reading it takes time in proportion to its length, and little,
since no other thread of the runner has its turn meanwhile. Strict: a name that stands more than once, or a value that
is no amount that a machine could have, is not told.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

# By Prometheus' conventions ("Writing client libraries", process metrics), which the libraries of most languages keep.
STANDARD_NAMES: Mapping[str, str] = {
    "cpu_s": "process_cpu_seconds_total",
    "resident_bytes": "process_resident_memory_bytes",
    "virtual_bytes": "process_virtual_memory_bytes",
    "threads": "process_threads",
    "open_files": "process_open_fds",
}
# What follows the name, within its line: labels, whose values may have braces of their own, the value, perhaps a time.
_REST = re.compile(r'(?:\{(?:[^"{}\n]|"(?:[^"\\\n]|\\[^\n])*")*\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?[ \t\r]*')
_AMOUNT = re.compile(r"\+?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# A page's longest line that is looked at; those of a process have some hundred characters.
_LONGEST_LINE = 4096
# Above what any reader of a record holds in a whole number.
_LIMIT = 2.0**63


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
    for name in wanted:
        told = list(_rests(text, name))
        if told:
            said = _REST.fullmatch(told[0]) if len(told) == 1 else None
            found[name] = _amount(said[1]) if said else None
    return found


def _rests(text: str, name: str) -> Iterator[str]:
    """Yield what follows a name on each line that begins with it, two at most: that there are two is enough."""
    at, count = 0 if text.startswith(name) else _next_line(text, name, 0), 0
    while at >= 0 and count < 2:  # noqa: PLR2004 - see above
        after = at + len(name)
        if text[after : after + 1] in ("{", " ", "\t"):
            end = text.find("\n", after, after + _LONGEST_LINE)
            is_last = end < 0 and len(text) <= after + _LONGEST_LINE
            count += 1
            yield text[after:] if is_last else text[after : max(end, after)]
        at = _next_line(text, name, after)


def _next_line(text: str, name: str, start: int) -> int:
    """Return where the name begins a line next; -1 if none does."""
    found = text.find(f"\n{name}", start)
    return found + 1 if found >= 0 else -1


def _amount(said: str) -> float | None:
    value = float(said) if _AMOUNT.fullmatch(said) else _LIMIT
    return value if value < _LIMIT else None
