"""Signals: the first one unwinds the suite, further ones are only noted, and critical sections are not interrupted.

While doit loads, a signal ends the process at once with 130. From `arm()` on, the first SIGINT, SIGTERM or SIGHUP
raises KeyboardInterrupt in the main thread, outside of `deferred()` blocks; nothing is raised a second time, and the
handler raises nothing else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

INTERRUPTED_EXIT_CODE = 130
_STDERR_FD = 2
_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class State:
    """The signal that has come, and whether an exception may still be raised: global, as signal handlers are."""

    armed = False
    received: str | None = None
    raised = False
    deferrals = 0


def install() -> None:
    """Handle the signals, also where a background job of a shell has inherited SIGINT ignored."""
    for number in _NUMBERS:
        signal.signal(number, _handle)


def arm() -> None:
    """Let the first signal unwind by KeyboardInterrupt instead of ending the process."""
    State.armed = True


def received() -> str | None:
    """Return the name of the first signal that came, or None."""
    return State.received


def note_only() -> None:
    """From now on only note signals: the work is done, and the last lines are being printed."""
    State.raised = True


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold a signal back until the end of the block: processes are ended, or files renamed, in it."""
    State.deferrals += 1
    try:
        yield
    finally:
        State.deferrals -= 1
        if State.deferrals == 0 and State.received is not None:
            _raise_once()


def _handle(number: int, frame: FrameType | None) -> None:
    del frame
    if not State.armed:
        sys.exit(INTERRUPTED_EXIT_CODE)
    if State.received is not None:
        with contextlib.suppress(OSError):  # a lost reader must not replace the exception that unwinds
            os.write(_STDERR_FD, b"compbench: already stopping; the current scenario is being unwound\n")
        return
    State.received = signal.Signals(number).name
    if State.deferrals == 0:
        _raise_once()


def _raise_once() -> None:
    if not State.raised:
        State.raised = True
        raise KeyboardInterrupt
