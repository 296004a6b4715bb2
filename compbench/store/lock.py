"""One suite at a time: a lock of the kernel, which releases it however this process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from pathlib import Path

from compbench.model.errors import SuiteBusyError, UserError
from compbench.model.times import iso_utc

_NEITHER_FOLLOW_NOR_WAIT = os.O_NOFOLLOW | os.O_NONBLOCK
_BEGINNING = "pid"
_MOST_BYTES = 200


def take(path: Path) -> int:
    """Take the suite's lock and return the descriptor that holds it until it is closed.

    Raises:
        SuiteBusyError: another process holds it; names that process.
        UserError: the file can't be opened, or is something else than a lock.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NEITHER_FOLLOW_NOR_WAIT, 0o644)
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from None
    try:
        _hold(path, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def holder(path: Path) -> str | None:
    """Return the holder of the suite's lock, None if it is free; does not take it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | _NEITHER_FOLLOW_NOR_WAIT)
    except OSError:  # not there, or something that `take` will refuse
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    finally:
        os.close(descriptor)
    return None


def _hold(path: Path, descriptor: int) -> None:
    if not _is_lock(descriptor):
        raise _refusal(path, "it is something else than a lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        who = _holder(descriptor)
        raise SuiteBusyError(
            f"another compbench is at work here ({who}): wait until it has finished, or end it with Ctrl-C"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{_BEGINNING} {os.getpid()} since {iso_utc(time.time())}\n".encode(), 0)


def _is_lock(descriptor: int) -> bool:
    """Tell whether the open file is a lock's: another file, or the target of a link, must not be overwritten."""
    facts, text = os.fstat(descriptor), _text(descriptor)
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and (not text or text.startswith(_BEGINNING))


def _holder(descriptor: int) -> str:
    return _text(descriptor).strip() or "unknown process"


def _text(descriptor: int) -> str:
    with contextlib.suppress(OSError):
        return os.pread(descriptor, _MOST_BYTES, 0).decode("utf-8", "replace")
    return ""


def _refusal(path: Path, why: str) -> UserError:
    return UserError(f"{path}: can't be the suite's lock ({why}): mend its rights, or move it away")
