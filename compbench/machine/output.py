"""Output of a program: copied from its pipe to a file, without colour codes, and bounded in size.

Knows nothing of processes: `pump` reads a pipe until it ends, or until it is told to hurry and the pipe is silent.
"""

from __future__ import annotations

import errno
import os
import re
import select
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import BinaryIO

_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CHUNK_BYTES = 65_536
_LOOK_UP_S = 0.5
_TAIL_BYTES = 1_048_576
# Past the limit the reader waits this long per chunk, so that a flood is throttled instead of burning a core here.
_FLOOD_PAUSE_S = 0.005


@dataclass
class Output:
    """A file that takes the output of a process, without colour codes, and at most `limit_bytes` of it.

    Longer output loses its middle: the beginning and the last MiB stay, with a line between them that says how much is
    missing. `error` is set when the disk refused a write; the process is not disturbed by that.
    """

    path: Path
    limit_bytes: int
    total_bytes: int = 0
    left_out_bytes: int = 0
    error: str = ""
    _room: int = field(init=False)
    _tail: deque[bytes] = field(init=False, repr=False, default_factory=deque)
    _tail_bytes: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._room = max(self.limit_bytes - _TAIL_BYTES, 0)

    def pump(self, source: BinaryIO, hurry: threading.Event) -> None:
        """Copy `source` to the file until it ends, or until `hurry` is set and it is silent; runs in its own thread."""
        with source, self._opened() as file:
            pending = b""
            while chunk := _next_chunk(source.fileno(), hurry):
                self.total_bytes += len(chunk)
                whole, pending = _split_at_line(pending + chunk)
                self._take(file, _ANSI.sub(b"", whole))
            self._take(file, _ANSI.sub(b"", pending))
            self._finish(file)

    def _opened(self) -> FileIO:
        """Open the file unbuffered: closing a buffered one would try, and fail, once more to write to a full disk."""
        try:
            return self.path.open("ab", buffering=0)
        except OSError as error:
            self._note(error)
            return Path(os.devnull).open("ab", buffering=0)

    def _take(self, file: FileIO, text: bytes) -> None:
        head, rest = text[: self._room], text[self._room :]
        if head:
            self._room -= len(head)
            self._write(file, head)
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
            while self._tail_bytes - len(self._tail[0]) >= _TAIL_BYTES:
                self.left_out_bytes += len(self._tail[0])
                self._tail_bytes -= len(self._tail.popleft())
            if self.left_out_bytes:
                time.sleep(_FLOOD_PAUSE_S)

    def _finish(self, file: FileIO) -> None:
        if self.left_out_bytes:
            note = f"\n[compbench: {self.left_out_bytes} bytes left out here: over the limit of max_output_mb]\n"
            self._write(file, note.encode())
        for text in self._tail:
            self._write(file, text)
        try:
            os.fsync(file.fileno())
        except OSError as error:
            self._note(error)

    def _write(self, file: FileIO, text: bytes) -> None:
        left = memoryview(text)
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as error:
            self._note(error)

    def _note(self, error: OSError) -> None:
        self.error = self.error or os.strerror(error.errno or errno.EIO)


def _next_chunk(fd: int, hurry: threading.Event) -> bytes:
    """Return what can be read next; nothing at the end.

    A process that has left its parent's group may hold the other end open for ever; hence `hurry` ends the waiting.
    """
    while not select.select([fd], [], [], _LOOK_UP_S)[0]:
        if hurry.is_set():
            return b""
    return os.read(fd, _CHUNK_BYTES)


def _split_at_line(text: bytes) -> tuple[bytes, bytes]:
    """Cut after the last line end, so that no colour code is torn; an endless line is passed on as it is."""
    end = text.rfind(b"\n") + 1
    if end == 0 and len(text) >= _CHUNK_BYTES:
        return text, b""
    return text[:end], text[end:]
