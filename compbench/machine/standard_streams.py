"""Standard streams that are closed, or fail later (the reader has gone, the disk is full), end no work."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

_STANDARD_FDS = 3


def ensure() -> None:
    """Open the null device for closed standard streams, so that no other file gets their descriptors."""
    for fd in range(_STANDARD_FDS):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    for name, fd in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(fd, "w", encoding="utf-8", closefd=False))


@contextlib.contextmanager
def lasting(stream: TextIO, when_lost: Callable[[str], None]) -> Iterator[None]:
    """Survive that a stream can't be written: it is replaced by the null device, and `when_lost` is told why."""
    try:
        yield
    except OSError as error:
        _silence(stream)
        when_lost(error.strerror or str(error))


def _silence(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
