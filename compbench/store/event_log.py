"""A run's `events.jsonl`: what happened, one event a line, appended as it happens.

Captures are the state, and nothing is decided by this file, so a line is written without waiting for the disk; a
SIGKILL tears the last line at most.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from compbench.model.events import Event, ProgressMade
from compbench.model.file_names import EVENTS

# Progress is told several times a second, for the eye; as a record, once a second is enough.
PROGRESS_INTERVAL_S = 1.0


class EventLog:
    """Appends events to a run's file; the first that can't be written is the last that is tried.

    Args:
        folder: the run's folder.
        when_lost: told why, once, if the file can't be written.
    """

    def __init__(self, folder: Path, when_lost: Callable[[str], None]) -> None:
        self.path = folder / EVENTS
        self._when_lost = when_lost
        self._encoder = msgspec.json.Encoder()
        self._descriptor: int | None = None
        self._progress_at = 0.0
        with self._bearing_loss():
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self.path, flags, 0o644)
            _cut_torn_line(self._descriptor)

    def __call__(self, event: Event) -> None:
        """Append an event; of progress, one a second."""
        if self._descriptor is None:
            return
        if isinstance(event, ProgressMade):
            if abs(event.at - self._progress_at) < PROGRESS_INTERVAL_S:
                return
            self._progress_at = event.at
        line = self._encoder.encode(event) + b"\n"
        with self._bearing_loss():
            if os.write(self._descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Write nothing more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextlib.contextmanager
    def _bearing_loss(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.close()
            self._when_lost(f"{self.path}: no events are written any more ({error.strerror}); the work goes on without")


_TAIL_BYTES = 1_000_000


def _cut_torn_line(descriptor: int) -> None:
    """Drop what follows the last line's end: a killed invocation left it half written."""
    size = os.fstat(descriptor).st_size
    begin = max(0, size - _TAIL_BYTES)
    tail = os.pread(descriptor, size - begin, begin)
    os.ftruncate(descriptor, begin + tail.rfind(b"\n") + 1)
