"""One cheap reading of a process and its descendants: cumulative counters and present sizes, at one moment.

A process that has ended gives None; a counter that the platform lacks is None.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec
import psutil

T = TypeVar("T")


class ProcessCounters(msgspec.Struct, frozen=True, kw_only=True):
    """A process and all its descendants, summed; `processes` is how many there are.

    `cpu_s` is user plus system time since each process began, and that of their ended children, so that it never
    shrinks when a child ends. `resident_bytes` counts what processes may share (files and shared memory) once, by the
    process that has most of it, which is `shared_bytes`, where the platform tells it apart. `open_files` is the number
    of descriptors of the process itself. `read_bytes` and `write_bytes` count the traffic of the disks, as far as the
    platform counts it.
    """

    cpu_s: float
    resident_bytes: int
    virtual_bytes: int
    threads: int
    shared_bytes: int = 0
    processes: int = 1
    open_files: int | None = None
    read_bytes: int | None = None
    write_bytes: int | None = None


def read_process_counters(process: psutil.Process) -> ProcessCounters | None:
    """Read a process and its descendants.

    Returns:
        The sums, or None if the process has ended (a zombie has ended too) or its number is now another process's.
    """
    try:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return None
        own = _read_one(process)
    except (psutil.Error, OSError):
        return None
    counted = [own, *_read_descendants(process)]
    return ProcessCounters(
        cpu_s=sum(one.cpu_s for one in counted),
        resident_bytes=sum(one.resident_bytes - one.shared_bytes for one in counted)
        + max(one.shared_bytes for one in counted),
        shared_bytes=max(one.shared_bytes for one in counted),
        virtual_bytes=sum(one.virtual_bytes for one in counted),
        threads=sum(one.threads for one in counted),
        processes=len(counted),
        open_files=own.open_files,
        read_bytes=_sum_known([one.read_bytes for one in counted]),
        write_bytes=_sum_known([one.write_bytes for one in counted]),
    )


def _read_one(process: psutil.Process) -> ProcessCounters:
    with process.oneshot():
        cpu, memory = process.cpu_times(), process.memory_info()
        io = _allowed(process.io_counters) if hasattr(process, "io_counters") else None
        return ProcessCounters(
            # Linux adds an ended child's time to `children_*` of its parent; macOS leaves these at 0.
            cpu_s=cpu.user + cpu.system + cpu.children_user + cpu.children_system,
            resident_bytes=memory.rss,
            # macOS does not tell it. The exact share (PSS) would take the kernel a walk through all pages each time.
            shared_bytes=min(getattr(memory, "shared", 0), memory.rss),
            virtual_bytes=memory.vms,
            threads=process.num_threads(),
            open_files=_allowed(process.num_fds),
            read_bytes=io.read_bytes if io else None,
            write_bytes=io.write_bytes if io else None,
        )


def _read_descendants(process: psutil.Process) -> Iterator[ProcessCounters]:
    """Read those descendants that live long enough; one that ends meanwhile is in its parent's time already."""
    try:
        descendants = process.children(recursive=True)
    except (psutil.Error, OSError):
        return
    for descendant in descendants:
        with contextlib.suppress(psutil.Error, OSError):
            yield _read_one(descendant)


def _allowed(read: Callable[[], T]) -> T | None:
    """Return a reading, or None where this user may not have it."""
    try:
        return read()
    except (psutil.AccessDenied, psutil.ZombieProcess):
        return None


def _sum_known(numbers: list[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
