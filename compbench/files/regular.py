"""Reading a file that others may have damaged or replaced: never blocks, never reads more than a limit."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

# Far above what a driver or a run writes, and far below what would push a machine that measures into swapping.
LIMIT_BYTES = 256 * 1024 * 1024


def read_regular(path: Path, limit_bytes: int = LIMIT_BYTES, *, is_link_followed: bool = True) -> bytes:
    """Return the content of a regular file, which may be a link to it unless that is told.

    Raises:
        FileNotFoundError: there is none.
        OSError: it can't be read, is a folder, pipe, device or link that is not followed, or is over the limit.
    """
    how = 0 if is_link_followed else os.O_NOFOLLOW
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | how)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if found.st_size > limit_bytes:
            raise OSError(errno.EFBIG, f"{found.st_size} bytes are over the limit of {limit_bytes}", str(path))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit_bytes)
    finally:
        os.close(descriptor)
