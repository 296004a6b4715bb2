"""One suite at a time: a lock that the kernel holds for this process, and lets go when it dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from compbench.model.errors import SuiteBusyError, UserError
from compbench.model.times import iso_utc


def take(path: Path) -> int:
    """Take the suite's lock and return the descriptor that holds it until it is closed.

    Raises:
        SuiteBusyError: another process holds it; names that process.
        UserError: the file can't be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"{path}: can't be the suite's lock ({error.strerror}): mend its rights, or move it away"
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise SuiteBusyError(
            f"another compbench is at work here ({_holder(path)}): wait until it has finished, or end it with Ctrl-C"
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"pid {os.getpid()} since {iso_utc(time.time())}\n".encode())
    return descriptor


def holder(path: Path) -> str | None:
    """Return who holds the suite's lock, or None if nobody does; takes nothing."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(path)
    finally:
        os.close(descriptor)
    return None


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip() or "unknown process"
    return "unknown process"
