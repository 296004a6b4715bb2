"""Standard streams that are closed, or get lost on the way (a reader that left, a full disk): no work ends with it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

_STANDARD_FDS = 3


def ensure() -> None:
    """Put the null device in the place of closed standard streams, so that no other file gets their numbers."""
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
    """Bear that a stream can't be written: it leads to the null device from then on, and `when_lost` is told why."""
    try:
        yield
    except OSError as error:
        _silence(stream)
        when_lost(error.strerror or str(error))


def _silence(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
