"""Which processes used the cores between two readings, by name and share; runner, server and driver are left out."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

# A smaller share of a core disturbs no measurement, and every machine has dozens of such processes.
NOTEWORTHY_PCT = 5.0


@dataclass(frozen=True)
class ProcessTime:
    """A process's parent and name, its own CPU time so far and that of its ended children, in seconds."""

    parent: int
    name: str
    own_s: float
    children_s: float


@dataclass(frozen=True)
class ProcessReading:
    """All processes at one moment of a monotonic clock, by pid and time of creation, since pids are reused."""

    at_s: float
    processes: dict[tuple[int, float], ProcessTime]


@dataclass(frozen=True)
class BusyProcess:
    """A process that used `pct` percent of one core; `with_children` if most of it was of programs that it started."""

    pid: int
    name: str
    pct: float
    with_children: bool = False

    def __str__(self) -> str:
        """Return it as a person reads it."""
        started = " by programs that it starts" if self.with_children else ""
        return f"{self.name} (process {self.pid}) {self.pct:.0f} % of a core{started}"


def read_processes() -> ProcessReading:
    """Read the CPU time of every process that can be read; some 0.1 ms each."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError), process.oneshot():
            cpu = process.cpu_times()
            parent, name = process.ppid(), process.name()
            # macOS leaves the children's times at 0.
            times = ProcessTime(parent, name, cpu.user + cpu.system, cpu.children_user + cpu.children_system)
            found[process.pid, process.create_time()] = times
    return ProcessReading(time.monotonic(), found)


def busiest(
    before: ProcessReading, after: ProcessReading, *, runner: int | None = None, server: int | None = None
) -> list[BusyProcess]:
    """Return the processes that used a noteworthy share of a core between two readings, the busiest first.

    The time of programs that began and ended in between counts as their parent's, as the kernel adds it there.

    Args:
        before: the earlier reading.
        after: the later one.
        runner: the process that is left out with all its descendants; default this one.
        server: another one, of a server that is no descendant of the runner's, as in a container.
    """
    seconds = after.at_s - before.at_s
    if seconds <= 0:
        return []
    roots = [runner or os.getpid(), *([server] if server else [])]
    ours = {pid for root in roots for pid in _family(root, [before, after])}
    ended = before.processes.keys() - after.processes.keys()
    found = []
    for key, now in after.processes.items():
        if key[0] in ours:
            continue
        then = before.processes.get(key, ProcessTime(now.parent, now.name, 0.0, 0.0))
        # What a child had used before the interval comes to its parent when it ends.
        known = sum(_total_s(before.processes[gone]) for gone in ended if before.processes[gone].parent == key[0])
        children_s = max(0.0, now.children_s - then.children_s - known)
        own_s = max(0.0, now.own_s - then.own_s)
        pct = 100 * (own_s + children_s) / seconds
        if pct >= NOTEWORTHY_PCT:
            found.append(BusyProcess(key[0], now.name, pct, with_children=children_s > own_s))
    return sorted(found, key=lambda busy: -busy.pct)


def describe_busy(busy: Sequence[BusyProcess], most: int = 3) -> str:
    """Return the busiest as one line; empty if there are none."""
    more = f" and {len(busy) - most} more" if len(busy) > most else ""
    return ", ".join(str(process) for process in busy[:most]) + more


def _total_s(times: ProcessTime) -> float:
    return times.own_s + times.children_s


def _family(runner: int, readings: Sequence[ProcessReading]) -> set[int]:
    """Return the pids of a process and all its descendants in any of the readings."""
    parents = {pid: times.parent for reading in readings for (pid, _), times in reading.processes.items()}
    family, before = {runner}, 0
    while len(family) > before:
        before = len(family)
        family |= {pid for pid, parent in parents.items() if parent in family}
    return family
