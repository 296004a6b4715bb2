"""What the kernel counts of each thread of a process tree: how often it was switched, moved and interrupted by a fault.

Linux alone, from `/proc/<pid>/task/<tid>`; elsewhere there is no reading. A thread's counts are lost when it ends, so
differences hold for those that are there at both ends, and for those that came.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from compbench.machine.probes.counters import ROOT

_SWITCHES = re.compile(r"^(voluntary|nonvoluntary)_ctxt_switches:\s+(\d+)$", re.MULTILINE)
_MIGRATIONS = re.compile(r"^se\.nr_migrations\s*:\s*(\d+)$", re.MULTILINE)
# Of /proc/<pid>/stat after the name in parentheses (proc_pid_stat(5)): minflt, cminflt, majflt, cmajflt.
_FAULT_FIELDS = slice(7, 11)


class ThreadCounts(msgspec.Struct, frozen=True, kw_only=True):
    """One thread since it began; `migrations` is None where the kernel has no `/proc/<pid>/sched`."""

    voluntary: int
    involuntary: int
    migrations: int | None = None


class TreeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The threads of a process and its descendants at one moment, and the page faults of all of its processes."""

    threads: dict[int, ThreadCounts] = {}
    page_faults: int | None = None


class Rises(msgspec.Struct, frozen=True, kw_only=True):
    """By how much the counts of a tree rose; `ended` is how many threads have ended, whose last part is missing."""

    voluntary: int | None = None
    involuntary: int | None = None
    migrations: int | None = None
    page_faults: int | None = None
    ended: int = 0


def read_tree_counts(pids: Iterable[int], root: Path = ROOT) -> TreeCounts:
    """Read the counts of some processes; one that has ended is left out. `root` is where `/proc` is looked for."""
    threads: dict[int, ThreadCounts] = {}
    faults: list[int] = []
    for pid in pids:
        folder = root / "proc" / str(pid)
        threads |= _threads(folder / "task")
        if (of_process := _page_faults(folder / "stat")) is not None:
            faults.append(of_process)
    return TreeCounts(threads=threads, page_faults=sum(faults) if faults else None)


def rises_between(before: TreeCounts, after: TreeCounts) -> Rises:
    """Return by how much counts rose; None where nothing could be read, or a sum fell because a process ended."""
    if not before.threads or not after.threads:
        return Rises()
    start = ThreadCounts(voluntary=0, involuntary=0, migrations=0)
    pairs = [(before.threads.get(tid, start), now) for tid, now in after.threads.items()]
    moved = [
        new.migrations - old.migrations
        for old, new in pairs
        if new.migrations is not None and old.migrations is not None
    ]
    return Rises(
        voluntary=sum(new.voluntary - old.voluntary for old, new in pairs),
        involuntary=sum(new.involuntary - old.involuntary for old, new in pairs),
        migrations=sum(moved) if len(moved) == len(pairs) else None,
        page_faults=_rise(before.page_faults, after.page_faults),
        ended=len(before.threads.keys() - after.threads.keys()),
    )


def _rise(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None or after < before else after - before


def _threads(folder: Path) -> dict[int, ThreadCounts]:
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return {}
    return {int(name): counts for name in names if (counts := _thread(folder / name)) is not None}


def _thread(folder: Path) -> ThreadCounts | None:
    switches = dict(_SWITCHES.findall(_text(folder / "status")))
    if switches.keys() != {"voluntary", "nonvoluntary"}:
        return None
    moved = _MIGRATIONS.search(_text(folder / "sched"))
    return ThreadCounts(
        voluntary=int(switches["voluntary"]),
        involuntary=int(switches["nonvoluntary"]),
        migrations=int(moved[1]) if moved else None,
    )


def _page_faults(path: Path) -> int | None:
    """Return the faults of a process and of those of its children that have ended and were waited for."""
    fields = _text(path).rpartition(") ")[2].split()[_FAULT_FIELDS]
    return sum(map(int, fields)) if fields else None


def _text(path: Path) -> str:
    """Return a file of the kernel, empty if it has none, or the thread has ended."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
