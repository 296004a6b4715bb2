"""The rank of processes among those that want the cores: their niceness, and that of their sessions.

Linux may share the cores out by session (autogroup), as most kernels of desktops and servers do. A process' niceness
then counts within its session only, and the session has one of its own; `guard` sets both.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from compbench.machine import process
from compbench.machine.output import Output
from compbench.machine.placement import Placement
from compbench.machine.probes.counters import ROOT

_BY_SESSION = "proc/sys/kernel/sched_autogroup_enabled"


@cache
def attainable(niceness: int) -> int:
    """Return the niceness that a child of ours gets of the one asked for; found out once, with a child that sleeps."""
    with tempfile.TemporaryDirectory(prefix="compbench-niceness-") as name:
        stdout = Output(Path(name) / "stdout", 1_000)
        argv = ["sleep", "60"]
        with process.running(
            argv, environment=os.environ, folder=Path(name), stdout=stdout, placement=Placement(niceness)
        ) as child:
            return niceness_of(child.pid) or 0


def niceness_of(pid: int, root: Path = ROOT) -> int | None:
    """Return a process' niceness among those of all sessions (-20 goes first, 0: like any), None if it has ended."""
    try:
        own = os.getpriority(os.PRIO_PROCESS, pid)
    except OSError:
        return None
    return max(own, _of_session(pid, own, root))


def _of_session(pid: int, otherwise: int, root: Path) -> int:
    """Return the niceness of a process' session where the kernel shares the cores out by session, else `otherwise`."""
    try:
        if (root / _BY_SESSION).read_text(encoding="ascii").strip() != "1":
            return otherwise
        return int((root / f"proc/{pid}/autogroup").read_text(encoding="ascii").rpartition(" ")[2])
    except (OSError, ValueError):
        return otherwise
