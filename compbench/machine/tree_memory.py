"""The memory of a process and all its descendants, in which what they share counts once."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

_PROC = Path("/proc")


def tree_memory_bytes(pid: int) -> int | None:
    """Return the memory that a process and its descendants occupy, None if it has ended.

    It is the sum of their proportional shares (PSS), as Linux counts them: what n processes share counts as an nth of
    it in each. Where that can't be read, it is what is resident. The kernel goes through all pages of each process to
    tell it, which takes it up to a second for many of them: not to be asked while something is measured.
    """
    try:
        top = psutil.Process(pid)
        processes = [top, *top.children(recursive=True)]
    except psutil.Error:
        return None
    known = [size for process in processes if (size := _occupied_bytes(process)) is not None]
    return sum(known) if known else None


def _occupied_bytes(process: psutil.Process) -> int | None:
    """Return one process' share; None if it has ended meanwhile."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (_PROC / str(process.pid) / "smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return None
