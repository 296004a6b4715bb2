"""Processes that go before all usual programs: scheduled in real time, for a while."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from compbench.machine.probes.counters import ROOT
from compbench.machine.probes.process_tree import process_tree, tree_pids


def rank(is_real_time: bool | None) -> str:
    """Return how a process is scheduled, to follow what it is told of; empty if as usual."""
    return " in real time" if is_real_time else ""


def is_real_time(pid: int) -> bool:
    """Tell whether a process is scheduled in real time; not if it has ended or the platform does not tell."""
    if not hasattr(os, "sched_getscheduler"):
        return False
    try:
        return os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK in (os.SCHED_RR, os.SCHED_FIFO)
    except OSError:
        return False


@contextlib.contextmanager
def in_real_time(pid: int | None, *, wanted: bool) -> Iterator[None]:
    """Schedule a process, its descendants and their threads in real time, behind the driver, until the block is left.

    What they start meanwhile is scheduled so, too. Nothing happens where it is not wanted or not granted.
    """
    if pid is None or not wanted:
        yield
        return
    top = process_tree(pid)[:1]
    _schedule(pid, os.SCHED_RR, os.sched_get_priority_min(os.SCHED_RR))
    try:
        yield
    finally:
        if top and top[0].is_running():  # else its number may be another's
            _schedule(pid, os.SCHED_OTHER, 0)


def _schedule(pid: int, policy: int, priority: int) -> None:
    """Set how all threads of a process tree are scheduled, those too that are begun meanwhile."""
    done: set[int] = set()
    while threads := {thread for one in tree_pids(pid) for thread in _threads(one)} - done:
        for thread in threads:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.sched_setscheduler(thread, policy, os.sched_param(priority))
        done |= threads


def _threads(pid: int) -> list[int]:
    try:
        return [int(path.name) for path in (ROOT / f"proc/{pid}/task").iterdir()]
    except OSError:
        return []
