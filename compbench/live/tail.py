"""The new lines of a file that another process appends to, read without holding it open.

A last line that is torn, or still being written, is left for later. A file that was replaced or cut short is read anew.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec

from compbench.live.told import ToldEvent

_CHUNK_BYTES = 1_000_000
# A line that never ends is no event; it must not fill the memory.
_LONGEST_LINE_BYTES = 4_000_000


class Tail:
    """Reads on where it has ended before.

    Attributes:
        unread_lines: how many lines were no event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.unread_lines = 0
        self._offset = 0
        self._identity = (0, 0)
        self._is_skipping = False
        self._decoder = msgspec.json.Decoder()

    def read(self) -> tuple[list[ToldEvent], bool]:
        """Return the events of the next whole lines, and whether the file was begun anew; all read is an empty list.

        Raises:
            OSError: the file can't be read.
        """
        descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(0, "not a regular file", str(self.path))
            identity = (found.st_dev, found.st_ino)
            is_anew = self._offset > 0 and (identity != self._identity or found.st_size < self._offset)
            if is_anew:
                self._offset, self.unread_lines, self._is_skipping = 0, 0, False
            self._identity = identity
            chunk = os.pread(descriptor, _CHUNK_BYTES, self._offset)
            wanted = min(found.st_size - self._offset, _LONGEST_LINE_BYTES)
            while b"\n" not in chunk and len(chunk) < wanted:
                more = os.pread(descriptor, _CHUNK_BYTES, self._offset + len(chunk))
                if not more:  # it was cut short meanwhile
                    break
                chunk += more
        finally:
            os.close(descriptor)
        return self._events_in(chunk), is_anew

    def _events_in(self, chunk: bytes) -> list[ToldEvent]:
        whole, newline, _ = chunk.rpartition(b"\n")
        if not newline:
            if len(chunk) >= _LONGEST_LINE_BYTES:
                self._offset += len(chunk)
                self._is_skipping = True
            return []
        self._offset += len(whole) + 1
        lines = whole.split(b"\n")
        if self._is_skipping:  # the end of a line whose beginning was passed over
            self._is_skipping = False
            self.unread_lines += 1
            lines = lines[1:]
        return [event for line in lines if line and (event := self._decoded(line)) is not None]

    def _decoded(self, line: bytes) -> ToldEvent | None:
        try:
            event = self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            event = None
        if isinstance(event, dict):
            return event
        self.unread_lines += 1
        return None
