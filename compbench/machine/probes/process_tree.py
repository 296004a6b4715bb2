"""A process and all that came of it, as long as their parents live."""

from __future__ import annotations

import psutil


def process_tree(pid: int) -> list[psutil.Process]:
    """Return a process, first, and all its descendants; empty if it has ended.

    psutil reads the state of every process of the machine for that.
    """
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def tree_pids(pid: int) -> list[int]:
    """Return the pids of a process, first, and of all its descendants; empty if it has ended."""
    return [process.pid for process in process_tree(pid)]
