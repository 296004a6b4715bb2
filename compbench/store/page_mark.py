"""Whether a living page is open: it holds a file locked for as long as it runs, and a measurement looks whether one is.

The kernel releases the lock however a page ends; several pages may hold it at once.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_held: list[int] = []


def mark_path(root: Path) -> Path:
    """Return the file of a project."""
    return root / "tmp" / "live"


def leave_mark(path: Path) -> str:
    """Hold the file until this process ends; return why that can't be, empty if it is held."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, _FLAGS, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    except OSError as error:
        return error.strerror or str(error)
    _held.append(descriptor)
    return ""


def is_page_open(path: Path) -> bool:
    """Tell whether a page holds the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
