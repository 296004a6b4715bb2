"""Writing a file so that it is there whole or not at all; the one place that knows how, for runner and driver alike."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

TEMPORARY_PATTERN = ".*.tmp"


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all, and survives a crash of the machine.

    Raises:
        OSError: the disk is full, or the folder can't be written; the old file is then untouched.
    """
    data = content.encode() if isinstance(content, str) else content
    write_whole_by(path, lambda file: file.write(data))


def write_whole_by(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file as `write_whole` does; `write` puts the content into the open file that it is given.

    Raises:
        OSError: the disk is full, or the folder can't be written; the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)  # a reader knows nothing of the temporary file, and a failed write names none
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def temporary_files(folder: Path) -> list[Path]:
    """Return what a killed `write_whole` has left in a folder, sorted."""
    return sorted(folder.glob(TEMPORARY_PATTERN))
