"""Child processes: started under a guard, watched, and ended for certain.

A `Child` lives inside `running(...)`; leaving that block ends it. Knows nothing of servers, scenarios or results.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from compbench.machine import interrupts
from compbench.machine.output import Output
from compbench.machine.placement import ANYWHERE, Placement
from compbench.machine.probes.process_tree import process_tree

_GUARD = Path(__file__).with_name("guard.py")
_LETTERS = {signal.SIGTERM: b"T", signal.SIGINT: b"I", signal.SIGKILL: b"K"}
_LOOK_UP_S = 0.5
# The rest in a pipe is copied in far less; a foreign process that goes on writing to it must not hold us up.
_PUMP_WAIT_S = 30.0
# How long the guard may take to end its child after SIGKILL, and to end itself, before both are ended from here.
_KILL_WAIT_S = 10.0
# A control group is busy until the last of its processes, which were killed, has left.
_GROUPS_WAIT_S, _GROUPS_POLL_S = 2.0, 0.02
# Longer where it clears away something afterwards (`AFTER_LIMIT_S` of the guard).
_CLEAR_WAIT_S = 70.0


@dataclass(frozen=True)
class Exit:
    """How a process ended: an exit code, or the name of the signal that ended it."""

    code: int | None
    signal: str | None = None

    def __str__(self) -> str:
        """Return `exit code N` or `signal NAME`."""
        return f"signal {self.signal}" if self.signal else f"exit code {self.code}"


class Child:
    """A running or ended process, known by the pid that its guard reported; only `running` makes one."""

    def __init__(
        self,
        argv: Sequence[str],
        guard: subprocess.Popen[bytes],
        status_fd: int,
        control_fd: int,
        kill_wait_s: float = _KILL_WAIT_S,
    ) -> None:
        self.argv = list(argv)
        self.pid = 0
        self.exit: Exit | None = None
        self.oom_kills = 0
        self._guard = guard
        self._status_fd = status_fd
        self._control_fd = control_fd
        self._unread = b""
        self._created_at: float | None = None
        self._kill_wait_s = kill_wait_s

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is news of the process, for `select`."""
        return self._status_fd

    def poll(self) -> Exit | None:
        """Return how the process ended, or None while it runs."""
        return self.wait(0)

    def wait(self, timeout_s: float) -> Exit | None:
        """Wait until the process has ended, at most `timeout_s`; return how, or None if it still runs."""
        deadline = time.monotonic() + timeout_s
        while self.exit is None and self._hear(max(0.0, deadline - time.monotonic())):
            pass
        return self.exit

    def send(self, number: signal.Signals) -> None:
        """Send SIGTERM, SIGINT or SIGKILL to the process and its group; nothing happens if it has ended."""
        if self.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._control_fd, _LETTERS[number])

    def stop(self, grace_s: float, first: signal.Signals = signal.SIGTERM) -> str:
        """End the process: a signal, `grace_s` of patience, SIGKILL.

        Returns:
            The reason of its end: `itself` if it had ended before, else the name of the last signal that was needed.
        """
        if self.poll() is not None:
            return "itself"
        self.send(first)
        if self.wait(grace_s) is not None:
            return first.name
        self.send(signal.SIGKILL)
        if self.wait(self._kill_wait_s) is None:
            self._guard.kill()  # it does not obey; when its pipe ends, `_hear` ends the process itself
            self.wait(_KILL_WAIT_S)
        return signal.SIGKILL.name

    def close(self) -> None:
        """Collect the guard and close the pipes to it."""
        os.close(self._control_fd)
        self._continue_guard()
        try:
            self._guard.wait(_KILL_WAIT_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        os.close(self._status_fd)

    def _hear(self, timeout_s: float) -> bool:
        """Read the guard's reports of the next `timeout_s`; return whether there was one."""
        if select.select([self._status_fd], [], [], timeout_s)[0]:
            self._read_status()
            return True
        self._continue_guard()
        return False

    def _continue_guard(self) -> None:
        """Continue the guard, which may have been stopped: it would neither obey nor report its child's end."""
        self._guard.send_signal(signal.SIGCONT)

    def _read_status(self) -> None:
        news = os.read(self._status_fd, 256)
        if not news:  # the guard itself was killed: it can't end its child, nor tell how that ended
            if self.exit is None:
                self._end_unguarded()
                self.exit = Exit(code=None, signal="unknown (the guard process was killed)")
            return
        *lines, self._unread = (self._unread + news).split(b"\n")
        for line in lines:
            word, number = line.split()
            if word == b"pid":
                self.pid = int(number)
                self._created_at = _created_at(self.pid)
            elif word == b"oom":
                self.oom_kills = int(number)
            else:
                self.exit = exit_of(int(number))

    def _end_unguarded(self) -> None:
        """End the process, its group and its descendants, unless the pid belongs to another process by now."""
        if self._created_at is not None and _created_at(self.pid) == self._created_at:
            descendants = process_tree(self.pid)[1:]
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            for descendant in descendants:
                with contextlib.suppress(psutil.Error):
                    descendant.kill()


def exit_of(return_code: int) -> Exit:
    """Translate a return code in Python's convention (negative: a signal) to an `Exit`."""
    if return_code >= 0:
        return Exit(code=return_code)
    try:
        return Exit(code=None, signal=signal.Signals(-return_code).name)
    except ValueError:
        return Exit(code=None, signal=f"signal {-return_code}")


@contextlib.contextmanager
def running(
    argv: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    stdout: Output,
    stderr: Output | None = None,
    stop_grace_s: float = 5.0,
    placement: Placement = ANYWHERE,
    after: Sequence[str] = (),
) -> Iterator[Child]:
    """Start a program under a guard and yield it; on leaving the block it has ended and its output is on disk.

    Args:
        argv: the program and its arguments; never a shell line.
        environment: the whole environment of the program.
        folder: its working directory.
        stdout: takes its standard output; also its standard error if `stderr` is None.
        stderr: takes its standard error.
        stop_grace_s: patience between SIGTERM and SIGKILL when the block is left while it runs.
        placement: where the program runs, and how it ranks.
        after: a command line that the guard runs when the program has ended, even if compbench was killed; the
            program's end is known only then.
    """
    status_read, status_write = os.pipe()
    control_read, control_write = os.pipe()
    guard = subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", str(_GUARD), str(status_write), str(control_read), *placement.words()),
            *(str(len(after)), *after, *placement.wrapper, *argv),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if stderr is None else subprocess.PIPE,
        env=dict(environment),
        cwd=folder,
        pass_fds=(status_write, control_read),
        start_new_session=True,
    )
    os.close(status_write)
    os.close(control_read)
    hurry = threading.Event()
    pumps = [threading.Thread(target=stdout.pump, args=(guard.stdout, hurry), daemon=True)]
    if stderr is not None:
        pumps.append(threading.Thread(target=stderr.pump, args=(guard.stderr, hurry), daemon=True))
    for pump in pumps:
        pump.start()
    child = Child(argv, guard, status_read, control_write, _CLEAR_WAIT_S if after else _KILL_WAIT_S)
    try:
        while child.pid == 0 and child.exit is None:
            child._hear(_LOOK_UP_S)
        yield child
    finally:
        with interrupts.deferred():
            try:
                child.stop(stop_grace_s)
            finally:
                child.close()
                _remove_groups(placement)
                hurry.set()
                for pump in pumps:
                    pump.join(_PUMP_WAIT_S)


def _remove_groups(placement: Placement) -> None:
    """Remove the control groups of a program that has ended, where its guard was killed and could not."""
    deadline = time.monotonic() + _GROUPS_WAIT_S
    for group in placement.groups:
        while group.folder.is_dir() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                group.folder.rmdir()
                break
            time.sleep(_GROUPS_POLL_S)


def wait_any(children: Sequence[Child], timeout_s: float) -> None:
    """Return as soon as one of the running children has news, or after `timeout_s`."""
    alive = [child for child in children if child.exit is None]
    if select.select(alive, [], [], timeout_s)[0]:
        for child in alive:
            child.poll()


def own_open_files() -> int | None:
    """Return how many descriptors this process has open, or None where the platform doesn't tell."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return len(os.listdir(folder))  # noqa: PTH208 - Path.iterdir holds a descriptor more for longer
    return None


def _created_at(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return None
