"""What a measured load costs the machine, counted for server and driver over the same stretch of the measured time.

The counters are attached while the driver starts, run from when it begins to measure, and stop shortly before its
schedule ends: at both ends of that stretch the load is the same, so a count by its seconds is a rate. Seconds in which
there was no load would make it too small, so a stretch that reaches beyond the schedule is no count.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from compbench.machine import perf_counts
from compbench.machine.perf_counts import Counting
from compbench.machine.perf_lines import PerfCounts, none_counted
from compbench.machine.probes.process_tree import tree_pids
from compbench.machine.probes.task_counts import Rises, TreeCounts, read_tree_counts, rises_between
from compbench.machine.process import Child
from compbench.machine.snapshot import OUT_OF_SIGHT
from compbench.measuring import server
from compbench.measuring.attempt import Attempt
from compbench.measuring.under_test import UnderTest
from compbench.model.records import ProcessCosts

# Beginning and end are looked for four times a second; on a machine that is too busy both may come later still.
_END_BEFORE_S = 0.5
# What begins later than that leaves too much of the load out.
_LATE_S = 0.5
_SWITCHED_OFF = "counters = false"
_NEVER_BEGAN = "measuring never began"
_NO_ANSWER = "perf did not answer"
_NOTHING_READ = "nothing of it could be read in /proc"
# Why /proc may have one count and lack another.
_LACKING = {
    "migrations": "this kernel has no se.nr_migrations in /proc/<pid>/sched",
    "page_faults": "a process that ended took its count along",
}
# The names of perf, of our record, and of what /proc has of it.
_FIELDS = {
    "cycles": "cycles",
    "instructions": "instructions",
    "context-switches": "context_switches",
    "cpu-migrations": "migrations",
    "page-faults": "page_faults",
}
_ALL_FIELDS = (*_FIELDS.values(), "voluntary_switches", "involuntary_switches")


class LoadTime(NamedTuple):
    """From when to when the driver keeps its schedule, in seconds of the monotonic clock."""

    starts_at: float
    ends_at: float

    def why_not(self, from_s: float, to_s: float) -> str:
        """Return why a stretch of counting does not stand for the load, or an empty text."""
        if (late_s := from_s - self.starts_at) > _LATE_S:
            return f"counting began {late_s:.1f} s late"
        if (over_s := to_s - self.ends_at) > 0:
            return f"counting ended {over_s:.1f} s after the load"
        return ""


@dataclass
class Counted:
    """One process tree that is counted: by perf, or why not, and beside that by /proc.

    `read` and `counting` are from when to when /proc and perf counted; perf begins and ends with its answers.
    """

    pid: int
    counter: Counting | str
    monotonic: Callable[[], float]
    before: TreeCounts = field(default_factory=TreeCounts)
    rises: Rises = field(default_factory=Rises)
    read_at: float | None = None
    read: tuple[float, float] | None = None
    on_at: float | None = None
    counting: tuple[float, float] | None = None

    def look(self) -> None:
        """Read /proc for the first time."""
        self.before, self.read_at = read_tree_counts(tree_pids(self.pid)), self.monotonic()

    def on(self) -> None:
        """Begin to count."""
        if isinstance(self.counter, Counting) and self.counter.on():
            self.on_at = self.monotonic()

    def off(self) -> None:
        """End counting."""
        if isinstance(self.counter, Counting) and self.on_at is not None and self.counter.off():
            self.counting = self.on_at, self.monotonic()

    def look_again(self) -> None:
        """Read /proc for the second time."""
        if self.read_at is not None:
            self.rises = rises_between(self.before, read_tree_counts(tree_pids(self.pid)))
            self.read = self.read_at, self.monotonic()

    def costs(self, load: LoadTime | None) -> ProcessCosts:
        """Return what was counted of a load; perf is to have ended."""
        if self.read is None or load is None:
            return not_counted(_NEVER_BEGAN)
        if why := load.why_not(*self.read):
            return not_counted(why)
        read_s = self.read[1] - self.read[0]
        if isinstance(self.counter, str):
            return costs_of(none_counted(self.counter), self.rises, read_s)
        if self.counting is None:
            return costs_of(none_counted(_NO_ANSWER), self.rises, read_s)
        if why := load.why_not(*self.counting):
            return costs_of(none_counted(why), self.rises, read_s)
        return costs_of(self.counter.counts, self.rises, self.counting[1] - self.counting[0])


class CostWindow:
    """The stretch of the measured time in which is counted; each function does nothing where nothing is counted.

    `load` is when the driver keeps its schedule, once that is known.
    """

    def __init__(self, attempt: Attempt, counted: list[Counted], duration_s: float) -> None:
        self._now, self._counted = attempt.effects.monotonic, counted
        self._duration_s, self._end_before_s = duration_s, min(_END_BEFORE_S, duration_s / 2)
        self._is_on = False
        self.load: LoadTime | None = None

    def begin(self, starts_at: float) -> None:
        """Begin to count: the driver has begun to measure then, by the monotonic clock."""
        self.load = LoadTime(starts_at, starts_at + self._duration_s)
        self._is_on = True
        for one in self._counted:
            one.look()
        for one in self._counted:
            one.on()

    def end_in_time(self) -> None:
        """End counting if it is time for that; called several times a second."""
        if self.load is not None and self._now() >= self.load.ends_at - self._end_before_s:
            self.end()

    def end(self) -> None:
        """End counting, if that was not done before."""
        if not self._is_on:
            return
        self._is_on = False
        for one in self._counted:
            one.off()
        for one in self._counted:
            one.look_again()


@contextlib.contextmanager
def counting_costs(
    attempt: Attempt, driver: Child, under_test: UnderTest, duration_s: float | None, work: Path
) -> Iterator[CostWindow]:
    """Yield the window in which server and driver are counted; what was counted is kept in the attempt.

    A search for a capacity has no rate that its counts could be of, so nothing is counted there.
    """
    if duration_s is None or attempt.measurement.kind != "load":
        yield CostWindow(attempt, [], 0.0)
        return
    if not attempt.settings.counters:
        _note(attempt, *[not_counted(_SWITCHED_OFF)] * 2)
        yield CostWindow(attempt, [], duration_s)
        return
    with contextlib.ExitStack() as stack:
        pids = {"server": under_test.pid, "driver": driver.pid}
        counted = {
            name: Counted(pid, stack.enter_context(_counter(attempt, name, pid, work)), attempt.effects.monotonic)
            for name, pid in pids.items()
            if pid is not None
        }
        window = CostWindow(attempt, list(counted.values()), duration_s)
        try:
            yield window
        finally:
            window.end()
            stack.close()
            costs = {name: one.costs(window.load) for name, one in counted.items()}
            _note(attempt, costs.get("server") or not_counted(OUT_OF_SIGHT), costs["driver"])


def _counter(attempt: Attempt, name: str, pid: int, work: Path) -> contextlib.AbstractContextManager[Counting | str]:
    return perf_counts.counting(name, lambda: tree_pids(pid), work, server.child_environment(attempt.root))


def _note(attempt: Attempt, of_server: ProcessCosts, of_driver: ProcessCosts) -> None:
    attempt.server = msgspec.structs.replace(attempt.server, costs=of_server)
    attempt.driver = msgspec.structs.replace(attempt.driver, costs=of_driver)


def not_counted(why: str) -> ProcessCosts:
    """Return that nothing was counted, for one reason."""
    return ProcessCosts(why_not=dict.fromkeys(_ALL_FIELDS, why))


def costs_of(counted: PerfCounts, rises: Rises, counted_s: float) -> ProcessCosts:
    """Return one record of what perf has counted and of what /proc tells; perf's word goes first. Pure."""
    known: dict[str, int] = {_FIELDS[event]: count for event, count in counted.counts.items()}
    why_not = {_FIELDS[event]: why for event, why in counted.why_not.items()}
    sources = ["perf stat"] if known else []
    told = _of_proc(rises)
    if instead := [name for name in why_not if told.get(name) is not None]:
        sources.append(f"/proc for {', '.join(name.replace('_', ' ') for name in instead)}")
    is_read = told["voluntary_switches"] is not None
    for name, count in told.items():
        if name in known:
            continue
        if count is None:
            why_not.setdefault(name, _LACKING.get(name, _NOTHING_READ) if is_read else _NOTHING_READ)
        else:
            known[name] = count
            why_not.pop(name, None)
    return ProcessCosts(
        counted_s=round(counted_s, 3),
        **known,
        is_user_only=counted.is_user_only,
        share_pct=counted.share_pct,
        source="; ".join(sources),
        ended_threads=rises.ended,
        why_not=why_not,
    )


def _of_proc(rises: Rises) -> dict[str, int | None]:
    both = None
    if rises.voluntary is not None and rises.involuntary is not None:
        both = rises.voluntary + rises.involuntary
    return {
        "context_switches": both,
        "migrations": rises.migrations,
        "page_faults": rises.page_faults,
        "voluntary_switches": rises.voluntary,
        "involuntary_switches": rises.involuntary,
    }
