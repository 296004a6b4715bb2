"""An event loop, and an alarm in it that rings to some ten microseconds.

uvloop does more requests a second than asyncio's own loops, but its timers, like epoll's, count whole milliseconds,
which alone would make requests half a millisecond late. On Linux a timer of the kernel (timerfd) wakes it exactly;
elsewhere asyncio's loop over `select`, which waits with microseconds, does both. Times are `time.monotonic()`'s.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import selectors
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

import uvloop

T = TypeVar("T")

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK = 0o4000
_TFD_CLOEXEC = 0o2000000
_TFD_TIMER_ABSTIME = 1
# Kept apart from "not set": a timerfd of zero is disarmed.
_SOONEST_S = 1e-9


class Alarm(Protocol):
    """Calls its function at the moment last set."""

    def set(self, at_s: float) -> None:
        """Ring at this time of `time.monotonic()`, at once if it is past, instead of at the one set before."""

    def close(self) -> None:
        """Never ring again."""


def run_in_precise_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in an event loop for which `open_alarm` is exact."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)


def open_alarm(ring: Callable[[], None]) -> Alarm:
    """Return an alarm in the running loop."""
    loop = asyncio.get_running_loop()
    return _TimerAlarm(loop, ring) if isinstance(loop, uvloop.Loop) else _LoopAlarm(loop, ring)


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "linux":
        return uvloop.new_event_loop()
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class _LoopAlarm:
    """An alarm of asyncio's own timers, whose clock is `time.monotonic()`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_s: float) -> None:
        self.close()
        self._handle = self._loop.call_at(at_s, self._ring)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class _TimeSpec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("value", _TimeSpec))


class _TimerAlarm:
    """An alarm of Linux' timerfd(2), whose CLOCK_MONOTONIC is `time.monotonic()`; Python has it from 3.13 on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop, self._ring = loop, ring
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._file = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._spec = _TimerSpec()
        self._reference = ctypes.byref(self._spec)
        loop.add_reader(self._file, self._rang)

    def set(self, at_s: float) -> None:
        at_s = max(at_s, _SOONEST_S)
        seconds = int(at_s)
        self._spec.value.seconds, self._spec.value.nanoseconds = seconds, int((at_s - seconds) * 1e9)
        self._settime(self._file, _TFD_TIMER_ABSTIME, self._reference, None)

    def close(self) -> None:
        self._loop.remove_reader(self._file)
        os.close(self._file)

    def _rang(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:
            return  # set anew between ringing and being heard
        self._ring()
