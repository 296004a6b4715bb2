"""How much main memory a process and all its descendants hold together."""

from __future__ import annotations

import contextlib

import psutil


def tree_memory_bytes(pid: int) -> int | None:
    """Return the memory of a process and its descendants, each shared page counted once; None if it has ended.

    Where the platform does not tell how many processes share a page (only Linux does), or doesn't tell this user,
    shared pages count in each.
    """
    try:
        root = psutil.Process(pid)
        processes = [root, *root.children(recursive=True)]
    except psutil.Error:
        return None
    held = [size for process in processes if (size := _memory_of(process)) is not None]
    return sum(held) if held else None


def _memory_of(process: psutil.Process) -> int | None:
    with contextlib.suppress(psutil.Error, OSError):
        try:
            share = getattr(process.memory_full_info(), "pss", 0)
        except psutil.AccessDenied:
            share = 0
        return int(share or process.memory_info().rss)
    return None
