"""Counting what processes cost the machine with `perf stat`: begun and ended by a word, read from its output.

perf is attached before the time that counts, with its counters off, so that its own start falls outside of it; turning
them on and off is a word through a pipe, which perf acknowledges. `perf_lines` reads what it leaves.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from compbench.machine import process
from compbench.machine.output import Output
from compbench.machine.perf_lines import EVENTS, PerfCounts, none_counted, parse_counts
from compbench.machine.process import Child

# perf answers within milliseconds; on a machine that is busy otherwise it may have to wait for a core.
_ANSWER_S = 5.0
_STOP_GRACE_S = 5.0
# Words of perf's own messages for what the kernel does not let this user do.
_FORBIDDEN = ("permission", "perf_event_paranoid", "not permitted", "is limited")
# A process that comes while perf is attaching may have been missed; then it is attached once more.
_TRIES = 3
_LOG_BYTES = 2_000_000


def cannot_count() -> str:
    """Return why perf can't even be started here, or an empty text."""
    if not sys.platform.startswith("linux"):
        return f"perf counts on Linux only, this is {sys.platform}"
    return "" if shutil.which("perf") else "perf is not installed"


def trial_counts() -> PerfCounts:
    """Count a process that does nothing, for some 40 ms: what is missing of it will be missing of others."""
    if why := cannot_count():
        return none_counted(why)
    trial = ["perf", "stat", "--no-big-num", "--no-scale", "-x", ";", "-e", ",".join(EVENTS), "--", "true"]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            trial,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_ANSWER_S,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return none_counted(f"perf can't be run: {error}")
    return parse_counts(done.stderr) if done.returncode == 0 else none_counted(_refusal(done.stderr))


def stat_argv(pids: Sequence[int], out: Path, control: Path, answers: Path) -> list[str]:
    """Return the command that counts for these processes, their threads, and all that come of them; first off.

    Counts are not scaled by perf: on a processor with two kinds of core it would take the time on one for time in
    which the other's counter was in use by somebody else.
    """
    how = ["--delay", "-1", "--control", f"fifo:{control},{answers}", "--no-big-num", "--no-scale", "-x", ";"]
    return ["perf", "stat", *how, "-e", ",".join(EVENTS), "-p", ",".join(map(str, pids)), "-o", str(out)]


class Counting:
    """A perf that is attached; `on` and `off` bound what counts, `counts` is there after the block."""

    def __init__(self, child: Child, control_fd: int, answers_fd: int) -> None:
        self.counts = none_counted("the counting was not ended in order")
        self._child, self._control_fd, self._answers_fd = child, control_fd, answers_fd

    def on(self) -> bool:
        """Begin to count; return whether perf has acknowledged that."""
        return self._obeys(b"enable\n")

    def off(self) -> bool:
        """End counting; return whether perf has acknowledged that."""
        return self._obeys(b"disable\n")

    def _obeys(self, word: bytes) -> bool:
        if self._child.poll() is not None:
            return False
        os.write(self._control_fd, word)
        deadline = time.monotonic() + _ANSWER_S
        both = [self._answers_fd, self._child.fileno()]
        while (left_s := deadline - time.monotonic()) > 0 and self._child.poll() is None:
            if self._answers_fd in select.select(both, [], [], left_s)[0]:
                return b"ack" in os.read(self._answers_fd, 64)
        return False


@contextlib.contextmanager
def counting(
    name: str, pids_of: Callable[[], list[int]], folder: Path, environment: Mapping[str, str]
) -> Iterator[Counting | str]:
    """Attach perf to processes and yield it, its counters off, or why it can't count.

    Args:
        name: the beginning of the names of its files.
        pids_of: looks which processes there are now.
        folder: where its files are made.
        environment: its environment.
    """
    if why := cannot_count():
        yield why
        return
    for attempt in range(_TRIES):
        files = [folder / f"{name}{attempt}.{ending}" for ending in ("counts", "control", "answers", "log")]
        with _attached(pids_of(), files, environment) as found:
            is_whole = isinstance(found, str) or attempt + 1 == _TRIES or set(pids_of()) <= set(found[1])
            if is_whole:
                yield found if isinstance(found, str) else found[0]
        if is_whole:
            if not isinstance(found, str):
                found[0].counts = _read_counts(files[0], files[3])
            return


@contextlib.contextmanager
def _attached(
    pids: list[int], files: Sequence[Path], environment: Mapping[str, str]
) -> Iterator[tuple[Counting, list[int]] | str]:
    """Start perf and wait until it has opened its counters; yield it with what it counts, or why it can't count."""
    out, control, answers, log = files
    if not pids:
        yield "there is no process to count"
        return
    with contextlib.ExitStack() as stack:
        try:
            descriptors = [_opened_pipe(path, stack) for path in (control, answers)]
        except OSError as error:
            yield f"no pipe to perf could be made: {error}"
            return
        child = stack.enter_context(
            process.running(
                stat_argv(pids, out, control, answers),
                environment={**environment, "LC_ALL": "C"},
                folder=out.parent,
                stdout=Output(log, _LOG_BYTES),
                stop_grace_s=_STOP_GRACE_S,
            )
        )
        counter = Counting(child, *descriptors)
        if counter.off():  # they are off already: the answer tells that perf is ready
            yield counter, pids
            child.stop(_STOP_GRACE_S, signal.SIGINT)
            return
        is_silent = child.poll() is None
    # What it said is in its log now that it has ended.
    yield f"perf did not answer within {_ANSWER_S:g} s" if is_silent else _refusal(_text(log))


def _opened_pipe(path: Path, stack: contextlib.ExitStack) -> int:
    """Make a named pipe and open it for reading and writing, so that neither end has to wait for the other.

    Raises:
        OSError: the folder's file system has no pipes.
    """
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    stack.callback(os.close, descriptor)
    return descriptor


def _read_counts(out: Path, log: Path) -> PerfCounts:
    try:
        return parse_counts(out.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return none_counted(f"perf left no counts ({_said(_text(log))})")


def _refusal(text: str) -> str:
    """Return why perf ended before it counted: by its own words, and where these are of permission, the setting."""
    if any(word in text.lower() for word in _FORBIDDEN):
        return f"perf may not count here ({_said(text)}): see the kernel setting kernel.perf_event_paranoid"
    return f"perf can't count here: {_said(text)}"


def _said(text: str) -> str:
    """Return the first line that tells what was wrong."""
    told = [line.strip() for line in text.splitlines() if line.strip() not in ("", "Error:", "Events disabled")]
    return told[0].rstrip(".") if told else "it said nothing"


def _text(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
